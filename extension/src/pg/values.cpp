// Conversions between SQL values and C++ (see values.hpp).
#include "pg/values.hpp"

#include <climits>

namespace fairq::pg {

Value of(std::string_view value) {
    return {call([&] {
                return PointerGetDatum(
                    cstring_to_text_with_len(value.data(), static_cast<int>(value.size())));
            }),
            false};
}

Value of_jsonb(std::string_view json) {
    std::string const text(json);
    return {call([&] { return DirectFunctionCall1(jsonb_in, CStringGetDatum(text.c_str())); }), false};
}

namespace {

// A timestamptz is a bigint of microseconds.
Value array_of_int64s(const std::vector<int64> &values, Oid type) {
    return {call([&] {
                auto *datums = static_cast<Datum *>(palloc(sizeof(Datum) * (values.size() + 1)));
                for (size_t i = 0; i < values.size(); ++i)
                    datums[i] = Int64GetDatum(values[i]);
                return PointerGetDatum(construct_array(datums, static_cast<int>(values.size()), type,
                                                       sizeof(int64), true, TYPALIGN_DOUBLE));
            }),
            false};
}

} // namespace

Value of(const std::vector<int64> &values) {
    return array_of_int64s(values, INT8OID);
}

Value of_times(const std::vector<int64> &values) {
    return array_of_int64s(values, TIMESTAMPTZOID);
}

Value of(const std::vector<std::string_view> &values) {
    return {call([&] {
                auto *datums = static_cast<Datum *>(palloc(sizeof(Datum) * (values.size() + 1)));
                for (size_t i = 0; i < values.size(); ++i)
                    datums[i] = PointerGetDatum(
                        cstring_to_text_with_len(values[i].data(), static_cast<int>(values[i].size())));
                return PointerGetDatum(construct_array(datums, static_cast<int>(values.size()), TEXTOID, -1,
                                                       false, TYPALIGN_INT));
            }),
            false};
}

Datum of_record(FunctionCallInfo call_info, const Value &value) {
    return call([&] {
        TupleDesc columns = nullptr;
        if (get_call_result_type(call_info, nullptr, &columns) != TYPEFUNC_COMPOSITE || columns->natts != 1)
            elog(ERROR, "function %u does not return one column", call_info->flinfo->fn_oid);
        Datum datum = value.datum;
        bool null = value.null;
        return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(columns), &datum, &null));
    });
}

std::string_view text_of(Datum datum) {
    text *const value = call([&] { return DatumGetTextPP(datum); });
    return {VARDATA_ANY(value), static_cast<size_t>(VARSIZE_ANY_EXHDR(value))};
}

std::vector<std::string_view> texts_of(Datum datum) {
    int count = 0;
    Datum *elements = nullptr;
    call([&] {
        deconstruct_array(DatumGetArrayTypeP(datum), TEXTOID, -1, false, TYPALIGN_INT, &elements, nullptr,
                          &count);
    });
    std::vector<std::string_view> values(static_cast<size_t>(count));
    std::transform(elements, elements + count, values.begin(), text_of);
    return values;
}

std::vector<int64> int64s_of(Datum datum) {
    int count = 0;
    Datum *elements = nullptr;
    call([&] {
        deconstruct_array(DatumGetArrayTypeP(datum), INT8OID, sizeof(int64), true, TYPALIGN_DOUBLE, &elements,
                          nullptr, &count);
    });
    std::vector<int64> values(static_cast<size_t>(count));
    for (size_t i = 0; i < values.size(); ++i)
        values[i] = DatumGetInt64(elements[i]);
    return values;
}

std::string json_string(std::string_view text) {
    std::string const terminated(text);
    return call([&] {
        StringInfoData json;
        initStringInfo(&json);
        escape_json(&json, terminated.c_str());
        return json.data;
    });
}

std::string json_time(TimestampTz time) {
    char text[MAXDATELEN + 1];
    call([&] { JsonEncodeDateTime(text, TimestampTzGetDatum(time), TIMESTAMPTZOID, nullptr); });
    return std::string("\"").append(text).append("\"");
}

int64 microseconds_of(const Interval &interval) {
    // The result saturates: every caller refuses values that are far below this one.
    auto const wide = static_cast<__int128>(interval.month) * DAYS_PER_MONTH * USECS_PER_DAY +
                      static_cast<__int128>(interval.day) * USECS_PER_DAY + interval.time;
    return static_cast<int64>(
        std::clamp(wide, static_cast<__int128>(INT64_MIN), static_cast<__int128>(INT64_MAX)));
}

Interval interval_of(int64 microseconds) {
    Interval interval{};
    interval.time = microseconds;
    return interval;
}

std::string_view clip(std::string_view text, size_t max_bytes) {
    if (text.size() <= max_bytes)
        return text;
    int const bytes = call([&] {
        return pg_mbcliplen(text.data(), static_cast<int>(text.size()), static_cast<int>(max_bytes));
    });
    return text.substr(0, static_cast<size_t>(bytes));
}

// Many numbers are drawn at once, because one call of the generator costs more than the bits that it returns.
std::uint64_t random_bits() {
    static std::uint64_t drawn[32];
    static size_t left = 0;
    if (left == 0) {
        if (!pg_strong_random(drawn, sizeof drawn))
            throw std::runtime_error("could not generate random bits");
        left = std::size(drawn);
    }
    return std::exchange(drawn[--left], 0);
}

int64 random_token() {
    return static_cast<int64>(random_bits() >> 1) | 1;
}

} // namespace fairq::pg
