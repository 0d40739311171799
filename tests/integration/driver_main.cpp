// The main of the integration tests: one cluster for all of them, removed at the end, also after a signal.
#include <cstdlib>

#include <gtest/gtest.h>

#include "interrupt.hpp"
#include "test_cluster.hpp"

int main(int argc, char **argv) {
    testing::InitGoogleTest(&argc, argv);
    fairq::driver::install_signal_handlers();
    setenv("FAIRQ_PLANS", FAIRQ_SHIPPED_PLANS, 1); // the build folder may be anywhere
    const int result = RUN_ALL_TESTS();
    fairq::test::remove_shared_cluster();
    return result;
}
