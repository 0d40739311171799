// Sleeping (see interrupts.hpp).
#include "pg/interrupts.hpp"

namespace fairq::pg {

void sleep_interruptibly(long milliseconds) {
    call([&] {
        WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, milliseconds, PG_WAIT_EXTENSION);
        ResetLatch(MyLatch);
        CHECK_FOR_INTERRUPTS();
    });
}

} // namespace fairq::pg
