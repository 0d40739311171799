// Lookups by index (see limit_lookups.hpp). Taking a snapshot costs about a microsecond, a lookup two.
#include "tables/limit_lookups.hpp"

#include "tables/live_columns.hpp"
#include "tables/open_relation.hpp"

namespace fairq::tables {

namespace {

constexpr AttrNumber kRateDueAt = 3; // a column of tenant_rates, as sql/fairq.sql orders them

pg::ScanCondition is(AttrNumber column, std::string_view value) {
    return {column, BTEqualStrategyNumber, F_TEXTEQ, pg::of(value).datum};
}

} // namespace

void LimitLookups::open(Lookup &lookup, const char *table, const char *index, int conditions,
                        Freshness freshness) const {
    if (!lookup)
        lookup.emplace(open_for_scan(schema_, table, index), conditions, pg::IndexScan::Sees::latest);
    else if (freshness == Freshness::latest)
        lookup->renew_snapshot();
}

int LimitLookups::running(std::string_view tenant, int most, Freshness freshness) {
    open(running_, "job_live", "job_live_running", 1, freshness);
    running_->start({is(1, tenant)});
    int found = 0;
    while (found < most && running_->next())
        ++found;
    return found;
}

std::optional<int64> LimitLookups::key_holder(std::string_view tenant, std::string_view key) {
    open(held_, "job_live", "job_live_held", 2, Freshness::latest);
    held_->start({is(1, tenant), is(2, key)});
    return held_->next() ? std::optional(DatumGetInt64(held_->value(kId).datum)) : std::nullopt;
}

std::optional<TimestampTz> LimitLookups::claim_due_at(std::string_view tenant, Freshness freshness) {
    open(rates_, "tenant_rates", "tenant_rates_pkey", 2, freshness);
    rates_->start({is(1, tenant), is(2, "claim")});
    return rates_->next() ? std::optional(DatumGetTimestampTz(rates_->value(kRateDueAt).datum))
                          : std::nullopt;
}

void LimitLookups::finish() {
    for (Lookup *const lookup : {&running_, &held_, &rates_}) {
        if (*lookup)
            (*lookup)->close();
        lookup->reset();
    }
}

} // namespace fairq::tables
