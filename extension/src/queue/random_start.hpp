// Where a sweep begins that does not know where the last one stopped, because there is no shared memory.
#pragma once

#include "pg/values.hpp"

namespace fairq::queue {

constexpr int kMostHalvings = 8;

// An entry of those from `first` to `last`. between(a, b): a value from a to b, by chance; next(value): the first entry
// from there on. The range is halved a few times at random, so that each entry has its chance however the entries lie
// between the first and the last: a random value alone would hardly ever hit one of a million that stand close together.
template <class Entry, class Between, class Next>
Entry random_start(Entry first, Entry last, Between &&between, Next &&next) {
    for (auto i = pg::random_bits() % kMostHalvings; i > 0 && first < last; --i) {
        Entry found = next(between(first, last));
        (pg::random_bits() % 2 == 0 ? first : last) = std::move(found);
    }
    return first;
}

} // namespace fairq::queue
