// Unpacking and checking of arguments (see arguments.hpp).
#include "pg/arguments.hpp"

namespace fairq::pg {

namespace {

std::string quoted(std::string_view value) {
    constexpr size_t kShown = 60;
    std::string const shown(clip(value, kShown));
    return "\"" + shown + (shown.size() < value.size() ? "...\"" : "\"");
}

void check_name(std::string_view value, const char *name, size_t max_bytes) {
    if (value.empty())
        raise_bad_argument(std::string(name) + " is empty",
                           "Give a name of 1 to " + std::to_string(max_bytes) + " bytes.");
    if (value.size() > max_bytes)
        raise_bad_argument(std::string(name) + " " + quoted(value) + " has " + std::to_string(value.size()) +
                               " bytes",
                           "Give a name of 1 to " + std::to_string(max_bytes) + " bytes.");
}

void check_range(int64 value, const char *name, Range range) {
    if (value < range.least || value > range.most)
        raise_bad_argument(std::string(name) + " is " + std::to_string(value),
                           "Give a number from " + std::to_string(range.least) + " to " +
                               std::to_string(range.most) + ".");
}

struct Elements {
    Datum *values;
    bool *nulls;
    int count;
};

Elements elements_of(Datum array, const char *name, Oid type, int length, bool by_value, char align) {
    ArrayType *const value = call([&] { return DatumGetArrayTypeP(array); });
    if (ARR_NDIM(value) > 1)
        raise_bad_argument(std::string(name) + " has " + std::to_string(ARR_NDIM(value)) + " dimensions",
                           "Give an array of one dimension.");
    Elements elements{};
    call([&] {
        deconstruct_array(value, type, length, by_value, align, &elements.values, &elements.nulls,
                          &elements.count);
    });
    return elements;
}

void refuse_null(const Elements &elements, const char *name) {
    for (int i = 0; i < elements.count; ++i)
        if (elements.nulls[i])
            raise_bad_argument(std::string(name) + " has NULL as element " + std::to_string(i + 1),
                               "Leave NULL elements out.");
}

} // namespace

Datum Arguments::required(int i, const char *name) const {
    if (is_null(i))
        raise_bad_argument(std::string(name) + " is NULL",
                           "Give a value, or leave the argument out if it has a default.");
    return info_->args[i].value;
}

std::string_view Arguments::text(int i, const char *name) const {
    return text_of(required(i, name));
}

std::string_view Arguments::name(int i, const char *name, size_t max_bytes) const {
    std::string_view const value = text(i, name);
    check_name(value, name, max_bytes);
    return value;
}

std::optional<std::string_view> Arguments::optional_name(int i, const char *argument,
                                                         size_t max_bytes) const {
    return is_null(i) ? std::nullopt : std::optional<std::string_view>(name(i, argument, max_bytes));
}

int32 Arguments::int32_in(int i, const char *name, Range range) const {
    int32 const value = DatumGetInt32(required(i, name));
    check_range(value, name, range);
    return value;
}

int64 Arguments::positive(int i, const char *name) const {
    int64 const value = DatumGetInt64(required(i, name));
    if (value <= 0)
        raise_bad_argument(std::string(name) + " is " + std::to_string(value), "Give a number above zero.");
    return value;
}

std::optional<int32> Arguments::optional_int32(int i, const char *name, Range range) const {
    return is_null(i) ? std::nullopt : std::optional<int32>(int32_in(i, name, range));
}

std::optional<int64> Arguments::optional_int64(int i, const char *name, Range range) const {
    if (is_null(i))
        return std::nullopt;
    int64 const value = DatumGetInt64(info_->args[i].value);
    check_range(value, name, range);
    return value;
}

// The comparison refuses NaN as well.
std::optional<double> Arguments::optional_double(int i, const char *name, double most) const {
    if (is_null(i))
        return std::nullopt;
    double const value = DatumGetFloat8(info_->args[i].value);
    if (!(value >= 0 && value <= most)) {
        std::string const shown =
            call([&] { return DatumGetCString(DirectFunctionCall1(float8out, info_->args[i].value)); });
        raise_bad_argument(std::string(name) + " is " + shown,
                           "Give a number from 0 to " + std::to_string(static_cast<int64>(most)) + ".");
    }
    return value;
}

bool Arguments::boolean(int i, const char *name) const {
    return DatumGetBool(required(i, name));
}

Oid Arguments::oid(int i, const char *name) const {
    return DatumGetObjectId(required(i, name));
}

int64 Arguments::duration(int i, const char *name, int64 most) const {
    Datum const value = required(i, name);
    int64 const length = microseconds_of(*DatumGetIntervalP(value));
    if (length <= 0 || length > most) {
        std::string const shown =
            call([&] { return DatumGetCString(DirectFunctionCall1(interval_out, value)); });
        raise_bad_argument(std::string(name) + " is " + quoted(shown),
                           "Give an interval above zero, of at most " + std::to_string(most / USECS_PER_SEC) +
                               " seconds.");
    }
    return length;
}

std::optional<TimestampTz> Arguments::optional_time(int i, const char *name) const {
    if (is_null(i))
        return std::nullopt;
    TimestampTz const value = DatumGetTimestampTz(info_->args[i].value);
    if (TIMESTAMP_NOT_FINITE(value))
        raise_bad_argument(std::string(name) + " is infinite", "Give a point in time, or NULL for now.");
    return value;
}

std::vector<int64> Arguments::ids(int i, const char *name) const {
    Elements const elements =
        elements_of(required(i, name), name, INT8OID, sizeof(int64), true, TYPALIGN_DOUBLE);
    refuse_null(elements, name);
    std::vector<int64> ids(static_cast<size_t>(elements.count));
    std::transform(elements.values, elements.values + elements.count, ids.begin(),
                   [](Datum id) { return DatumGetInt64(id); });
    return ids;
}

size_t Arguments::names(int i, const char *name, size_t max_bytes, bool nulls) const {
    Elements const elements = elements_of(required(i, name), name, TEXTOID, -1, false, TYPALIGN_INT);
    if (!nulls)
        refuse_null(elements, name);
    for (int n = 0; n < elements.count; ++n)
        if (!elements.nulls[n])
            check_name(text_of(elements.values[n]), name, max_bytes);
    return static_cast<size_t>(elements.count);
}

std::optional<std::vector<std::string>> Arguments::optional_names(int i, const char *name, size_t max_bytes,
                                                                  size_t most) const {
    if (is_null(i))
        return std::nullopt;
    size_t const count = names(i, name, max_bytes, false);
    if (count == 0 || count > most)
        raise_bad_argument(std::string(name) + " has " + std::to_string(count) + " elements",
                           "Give 1 to " + std::to_string(most) + " names, or NULL for any.");
    std::vector<std::string_view> const texts = texts_of(required(i, name));
    return std::vector<std::string>(texts.begin(), texts.end());
}

size_t Arguments::payload_size(int i) const {
    return call([&] { return toast_raw_datum_size(info_->args[i].value); });
}

std::vector<size_t> Arguments::payload_sizes(int i, const char *name) const {
    Elements const elements = elements_of(required(i, name), name, JSONBOID, -1, false, TYPALIGN_INT);
    std::vector<size_t> sizes(static_cast<size_t>(elements.count), 0);
    for (size_t n = 0; n < sizes.size(); ++n)
        if (!elements.nulls[n])
            sizes[n] = call([&] { return toast_raw_datum_size(elements.values[n]); });
    return sizes;
}

void put_numbers(const std::vector<int64> &numbers, ReturnSetInfo *result) {
    call([&] {
        for (int64 const number : numbers) {
            Datum value = Int64GetDatum(number);
            bool null = number == 0;
            tuplestore_putvalues(result->setResult, result->setDesc, &value, &null);
        }
    });
}

InsertedRow::InsertedRow(FunctionCallInfo call_info)
    : data_(reinterpret_cast<const TriggerData *>(call_info->context)) {
    call([&] {
        if (!CALLED_AS_TRIGGER(call_info) || !TRIGGER_FIRED_FOR_ROW(data_->tg_event) ||
            !TRIGGER_FIRED_BY_INSERT(data_->tg_event))
            elog(ERROR, "function %u was not called by a trigger for an inserted row",
                 call_info->flinfo->fn_oid);
    });
}

std::optional<std::string_view> InsertedRow::text(const char *column) const {
    bool null = false;
    Datum const value = call([&] {
        TupleDesc const columns = RelationGetDescr(data_->tg_relation);
        return heap_getattr(data_->tg_trigtuple, SPI_fnumber(columns, column), columns, &null);
    });
    return null ? std::nullopt : std::optional<std::string_view>(text_of(value));
}

} // namespace fairq::pg
