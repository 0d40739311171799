// New jobs put into job_live below SQL, as an INSERT would.
#pragma once

#include "pg/batch_insert.hpp"
#include "pg/values.hpp"

namespace fairq::tables {

// What is the same for all jobs of one call.
struct NewRows {
    std::string_view queue, type;
    const char *status;
    int32 priority, max_attempts;
    Interval timeout;
    TimestampTz now, run_at;
    bool in_lane, due; // queued, scheduled
    std::optional<int64> run;
    std::optional<int32> stage;
};

// The elements of an array argument; no elements when the argument is NULL.
class Elements {
public:
    Elements(const pg::Value &array, Oid type);
    pg::Value operator[](size_t i) const { return values_ ? pg::Value{values_[i], nulls_[i]} : pg::Value{}; }

private:
    Datum *values_ = nullptr;
    bool *nulls_ = nullptr;
};

struct NewRow {
    int64 id;
    pg::Value tenant, payload, key, concurrency_key; // NULL payload: an empty object
};

// Use: construct; if possible(), add each and finish(); close().
class LiveInsert {
public:
    LiveInsert(Oid schema, const NewRows &common);
    // False when job_live is not as the script made it: the caller uses SQL.
    bool possible() const { return possible_; }
    void add(const NewRow &row);
    void finish();
    void close();

private:
    NewRows common_;
    Datum queue_, type_, empty_;
    Relation table_;
    Datum status_;
    bool possible_;
    std::optional<pg::BatchInsert> batch_;
};

} // namespace fairq::tables
