// Lets an allocation fail on purpose, to test what an exception leaves behind when memory runs out.
#pragma once

namespace fairq::test {

extern thread_local int
    allocations_left; // after so many allocations of this thread, one fails; -1: none does

} // namespace fairq::test
