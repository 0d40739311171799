// Workers that are processes: they end with their driver, however that ends, and what is no driver cannot use them. What
// faults do to them is in the self-test and in the plan crash-reclaim.
#include <csignal>
#include <filesystem>
#include <fstream>

#include "actors/worker_faults.hpp"
#include "fault/piped_child.hpp"
#include "test_cluster.hpp"

using namespace fairq::driver;
using namespace fairq::test;

namespace {

/// Processes of this build that run `fairq worker`.
std::vector<pid_t> worker_processes() {
    std::vector<pid_t> found;
    const std::string command = std::string(FAIRQ_BINARY) + '\0' + "worker" + '\0';
    for (const auto &entry : std::filesystem::directory_iterator("/proc")) {
        std::ifstream file(entry.path() / "cmdline");
        const std::string text((std::istreambuf_iterator<char>(file)), {});
        if (text == command)
            found.push_back(std::stoi(entry.path().filename().string()));
    }
    return found;
}

} // namespace

TEST(WorkerProcesses, end_with_their_driver_also_those_that_are_frozen) {
    FairqProcess fairq({"run", "crash-reclaim", "--profile", "standard"});
    ASSERT_TRUE(eventually(Milliseconds(60'000), [] { return worker_processes().size() >= 16; }))
        << fairq.output();
    const pid_t frozen = worker_processes().front();
    kill(frozen, SIGSTOP);
    fairq.process().kill();
    EXPECT_TRUE(eventually(Milliseconds(30'000), [] { return worker_processes().empty(); }));
}

TEST(WorkerProcesses, take_orders_from_a_run_only) {
    fault::PipedChild child({FAIRQ_BINARY, "worker"});
    child.send("rm -rf everything");
    EXPECT_EQ(child.wait_for_end(), 0) << "by itself, not by a signal";
    child.reap();
}

TEST(WorkerProcesses, a_fault_that_did_not_happen_says_so) {
    fault::WorkerPool empty(42);
    const actors::Waits no_time = [](Milliseconds) { return false; };
    EXPECT_FALSE(actors::kill_worker(empty, no_time));
    EXPECT_FALSE(actors::freeze_worker(empty, Milliseconds(1), no_time));
    EXPECT_FALSE(actors::crash_worker(empty, "claimed", no_time));
}

TEST(WorkerProcesses, only_the_signal_that_was_sent_counts_as_its_death) {
    fault::WorkerPool pool(42);
    fault::PipedChild child({FAIRQ_BINARY, "worker"});
    const auto id = pool.add({child.pid(), [](const std::string &) {}, [] {}});
    pool.holds(id, 1);
    const actors::Waits ends_by_itself = [&](Milliseconds) {
        if (!pool.ending(id))
            pool.ended(id, 0);
        return true;
    };
    EXPECT_FALSE(actors::kill_worker(pool, ends_by_itself));
}
