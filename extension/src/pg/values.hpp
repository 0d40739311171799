// SQL values in and out of C++: arguments of a function call, parameters of a statement. A std::string_view
// here points into palloc'd memory and lives as long as the function call.
#pragma once

#include "pg/boundary.hpp"

namespace fairq::pg {

// A parameter of a statement: a datum of the type that the statement declares, or NULL.
struct Value {
    Datum datum = 0;
    bool null = true;
};

inline Value of(int64 value) {
    return {Int64GetDatum(value), false};
}
inline Value of(int32 value) {
    return {Int32GetDatum(value), false};
}
inline Value of(double value) {
    return {Float8GetDatum(value), false};
}
inline Value of(bool value) {
    return {BoolGetDatum(value), false};
}
inline Value of_time(TimestampTz value) {
    return {TimestampTzGetDatum(value), false};
}
inline Value of_datum(Datum value) {
    return {value, false};
}
Value of(std::string_view value);
Value of_jsonb(std::string_view json);
Value of(const std::vector<int64> &values);            // bigint[]
Value of(const std::vector<std::string_view> &values); // text[]
Value of_times(const std::vector<int64> &values);      // timestamptz[]
template <class T>
Value of(const std::optional<T> &value) {
    return value ? of(*value) : Value{};
}

// The one OUT or INOUT column of a procedure that CALL shows.
Datum of_record(FunctionCallInfo call_info, const Value &value);

std::string_view text_of(Datum text);
std::vector<std::string_view> texts_of(Datum array); // without NULLs
std::vector<int64> int64s_of(Datum array);
std::string json_string(std::string_view text); // quoted and escaped
std::string json_time(TimestampTz time);        // quoted, as to_json() writes it

// Now, by the wall clock; not the start of the transaction, which may be long ago.
inline TimestampTz now() {
    return GetCurrentTimestamp();
}
// Length in microseconds, a month counted as 30 days as PostgreSQL's own justify functions do.
int64 microseconds_of(const Interval &interval);
Interval interval_of(int64 microseconds);

// The longest beginning of text with at most max_bytes bytes and whole characters, in the server's encoding.
std::string_view clip(std::string_view text, size_t max_bytes);
std::uint64_t random_bits(); // jitter
int64 random_token();        // 1 … 2^63 - 1, from the strong generator, so that no role can guess it

} // namespace fairq::pg
