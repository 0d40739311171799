// The operators new and delete of the unit tests (see core_allocations.hpp).
#include "core_allocations.hpp"

#include <cstdlib>
#include <new>

namespace fairq::test {
thread_local int allocations_left = -1;
}

void *operator new(std::size_t bytes) {
    int &left = fairq::test::allocations_left;
    bool const fails = left >= 0 && left-- == 0;
    if (void *const memory = fails ? nullptr : std::malloc(bytes == 0 ? 1 : bytes))
        return memory;
    throw std::bad_alloc();
}

void operator delete(void *memory) noexcept {
    std::free(memory);
}

void operator delete(void *memory, std::size_t) noexcept {
    std::free(memory);
}
