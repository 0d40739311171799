// The main of the integration tests: one cluster for all of them, removed at the end, also after a signal.
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <unistd.h>

#include "interrupt.hpp"
#include "test_cluster.hpp"

// Libpq's variables name a server of whoever runs the tests: no load goes there, and no option of it comes
// from there.
static void forget_the_callers_server() {
    std::vector<std::string> names;
    for (char **entry = environ; *entry != nullptr; ++entry)
        if (std::strncmp(*entry, "PG", 2) == 0 && std::strncmp(*entry, "PG_CONFIG=", 10) != 0)
            names.emplace_back(*entry, std::strcspn(*entry, "="));
    for (const std::string &name : names)
        unsetenv(name.c_str());
}

int main(int argc, char **argv) {
    forget_the_callers_server();
    testing::InitGoogleTest(&argc, argv);
    fairq::driver::install_signal_handlers();
    setenv("FAIRQ_PLANS", FAIRQ_SHIPPED_PLANS, 1); // the build folder may be anywhere
    const int result = RUN_ALL_TESTS();
    fairq::test::remove_shared_cluster();
    return result;
}
