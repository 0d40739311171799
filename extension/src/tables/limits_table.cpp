// Reading tenant_limits by its indexes (see limits_table.hpp).
#include "tables/limits_table.hpp"

#include "tables/open_relation.hpp"

namespace fairq::tables {

namespace {

// The columns of tenant_limits, as sql/fairq.sql orders them.
enum LimitsColumn : AttrNumber {
    kLimitsTenant = 1,
    kWeight,
    kMaxConcurrency,
    kRate,
    kBurst,
    kMaxPending,
    kPaused,
    kEnqueueRate,
    kEnqueueBurst,
    kCapPendingSince
};

template <class T>
std::optional<T> column(const pg::IndexScan &row, LimitsColumn number, T (*convert)(Datum)) {
    pg::Value const value = row.value(number);
    return value.null ? std::nullopt : std::optional<T>(convert(value.datum));
}

int32 to_int32(Datum datum) {
    return DatumGetInt32(datum);
}
int64 to_int64(Datum datum) {
    return DatumGetInt64(datum);
}
double to_double(Datum datum) {
    return DatumGetFloat8(datum);
}

} // namespace

LimitsTable::LimitsTable(Oid schema, const char *index)
    : scan_(open_for_scan(schema, "tenant_limits", index), 1, pg::IndexScan::Sees::latest) {}

std::optional<LimitsRow> LimitsTable::find(std::string_view tenant) {
    scan_.start({{1, BTEqualStrategyNumber, F_TEXTEQ, pg::of(tenant).datum}});
    if (!scan_.next())
        return std::nullopt;
    return LimitsRow{DatumGetInt32(scan_.value(kWeight).datum), column(scan_, kMaxConcurrency, to_int32),
                     column(scan_, kRate, to_double),           column(scan_, kBurst, to_int32),
                     column(scan_, kMaxPending, to_int64),      DatumGetBool(scan_.value(kPaused).datum),
                     column(scan_, kEnqueueRate, to_double),    column(scan_, kEnqueueBurst, to_int32),
                     !scan_.value(kCapPendingSince).null};
}

bool LimitsTable::any() {
    scan_.start({{1, BTGreaterStrategyNumber, F_TEXT_GT, pg::of(std::string_view()).datum}});
    return scan_.next();
}

} // namespace fairq::tables
