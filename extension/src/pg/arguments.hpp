// The arguments of an SQL function, unpacked and checked. The error of a failed check (JQ007) names the argument, the
// value and its limits. The returned views point into memory of the function call.
#pragma once

#include "pg/errors.hpp"
#include "pg/values.hpp"

namespace fairq::pg {

struct Range {
    int64 least, most;
};

class Arguments {
public:
    explicit Arguments(FunctionCallInfo call_info) : info_(call_info) {}

    bool is_null(int i) const { return i >= info_->nargs || info_->args[i].isnull; }
    Value value(int i) const { return is_null(i) ? Value{} : of_datum(info_->args[i].value); }
    Datum required(int i, const char *name) const;

    std::string_view text(int i, const char *name) const;                   // any
    std::string_view name(int i, const char *name, size_t max_bytes) const; // 1 … max_bytes bytes
    std::optional<std::string_view> optional_name(int i, const char *name, size_t max_bytes) const;
    int32 int32_in(int i, const char *name, Range range) const;
    int64 positive(int i, const char *name) const; // bigint
    // An empty optional stands for NULL.
    std::optional<int32> optional_int32(int i, const char *name, Range range) const;
    std::optional<int64> optional_int64(int i, const char *name, Range range) const;
    std::optional<double> optional_double(int i, const char *name, double most) const; // 0 … most
    bool boolean(int i, const char *name) const;
    Oid oid(int i, const char *name) const;
    int64 duration(int i, const char *name, int64 most) const;               // interval, 1 µs … most µs
    std::optional<TimestampTz> optional_time(int i, const char *name) const; // finite
    std::vector<int64> ids(int i, const char *name) const;                   // bigint[], no NULLs

    // text[] of names; returns its length. nulls: whether elements may be NULL.
    size_t names(int i, const char *name, size_t max_bytes, bool nulls) const;
    // The same with 1 … most names, as texts; none for NULL.
    std::optional<std::vector<std::string>> optional_names(int i, const char *name, size_t max_bytes,
                                                           size_t most) const;
    // The raw sizes of a jsonb, or of all elements of a jsonb[].
    size_t payload_size(int i) const;
    std::vector<size_t> payload_sizes(int i, const char *name) const;

private:
    FunctionCallInfo info_;
};

// Adds a row with each of the numbers to the result of a function; 0 becomes NULL.
void put_numbers(const std::vector<int64> &numbers, ReturnSetInfo *result);

// The row that an INSTEAD OF INSERT trigger is called with.
class InsertedRow {
public:
    explicit InsertedRow(FunctionCallInfo call_info);
    std::optional<std::string_view> text(const char *column) const;
    HeapTuple tuple() const { return data_->tg_trigtuple; }

private:
    const TriggerData *data_;
};

} // namespace fairq::pg
