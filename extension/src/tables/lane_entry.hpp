// The columns of an entry of the lane index: queue, tenant, priority, position; none of them NULL.
#pragma once

#include "pg/values.hpp"

namespace fairq::tables {

inline std::string_view name_of(const void *text) {
    return {VARDATA_ANY(text), VARSIZE_ANY_EXHDR(text)};
}

// The name of a queue is so short that an entry always has it in the short form, with one byte for its length.
inline char *queue_of(IndexTuple tuple) {
    return reinterpret_cast<char *>(tuple) + IndexInfoFindDataOffset(tuple->t_info);
}

// A name in the long form begins where it is aligned to; one in the short form, whose first byte is not 0, where it may.
inline char *tenant_of(IndexTuple tuple) {
    char *const start = reinterpret_cast<char *>(tuple), *const queue = queue_of(tuple);
    char *const tenant = queue + VARSIZE_1B(queue);
    return *tenant != 0 ? tenant : start + TYPEALIGN(ALIGNOF_INT, tenant - start);
}

inline std::pair<int16, int64> place_of(IndexTuple tuple) {
    char const *const start = reinterpret_cast<char const *>(tuple), *const tenant = tenant_of(tuple);
    size_t const behind = static_cast<size_t>(tenant - start) + VARSIZE_ANY(tenant);
    size_t const priority = TYPEALIGN(ALIGNOF_SHORT, behind);
    size_t const position = TYPEALIGN(ALIGNOF_DOUBLE, priority + sizeof(int16));
    std::pair<int16, int64> place;
    memcpy(&place.first, start + priority, sizeof place.first);
    memcpy(&place.second, start + position, sizeof place.second);
    return place;
}

} // namespace fairq::tables
