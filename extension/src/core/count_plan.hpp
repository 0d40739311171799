// How metrics come by the number of jobs of a table, at a cost that has a bound whatever its size.
#pragma once

namespace fairq::core {

enum class Known { nothing, an_estimate, a_count };
enum class CountBy {
    keeping,    // the known number goes on, with what commits add
    counting,   // the table's rows
    estimating, // from the planner's statistics
};

// countable: the table is small enough. due: what is known is old, and misses what was written directly to the table.
constexpr CountBy count_by(Known known, bool countable, bool due) {
    if (countable)
        return known == Known::a_count && !due ? CountBy::keeping : CountBy::counting;
    // What was counted once, and kept since, is nearer the truth than an estimate.
    bool const keeps = known == Known::a_count || (known == Known::an_estimate && !due);
    return keeps ? CountBy::keeping : CountBy::estimating;
}

} // namespace fairq::core
