// The rates' arrival times, written below SQL: a claim charges each tenant that it has taken jobs of.
#pragma once

#include "pg/values.hpp"

namespace fairq::tables {

// The columns of tenant_rates, as sql/fairq.sql orders them.
enum RatesColumn : AttrNumber { kRateTenant = 1, kRateSide, kRateDueAt, kRateColumns = kRateDueAt };

struct Charge {
    std::string_view tenant;
    TimestampTz due_at; // from now on
};

// Charges claims of these tenants, whose locks the caller has: nobody else claims by their rates. Returns
// what is left for SQL: tenants whose rows are not there yet or are changed by somebody, or all of them, when
// the table carries what a direct update would bypass.
std::vector<Charge> charge_claims(Oid schema, const std::vector<Charge> &charges);

} // namespace fairq::tables
