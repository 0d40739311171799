// Workers that are processes: they end with their driver, however that ends, and what is no driver cannot use them. What
// faults do to them is in the self-test and in the plan crash-reclaim.
#include <algorithm>
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
/// Of this driver, while it lives: other runs on the machine have some as well.
std::vector<pid_t> workers_of(pid_t driver) {
    std::vector<pid_t> found;
    for (const auto &entry : std::filesystem::directory_iterator("/proc")) {
        const std::string name = entry.path().filename().string();
        if (name.find_first_not_of("0123456789") != std::string::npos)
            continue;
        std::ifstream file(entry.path() / "status");
        std::string line;
        while (std::getline(file, line)) // a process that ends meanwhile has no more lines
            if (line == "PPid:\t" + std::to_string(driver))
                found.push_back(std::stoi(name));
    }
    return found;
}

bool is_gone(pid_t pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/status");
    std::string line;
    while (std::getline(file, line))
        if (line.rfind("State:", 0) == 0)
            return line.find('Z') != std::string::npos; // it has ended, and nobody asked how
    return true;
}

bool all_gone(const std::vector<pid_t> &processes) {
    return std::all_of(processes.begin(), processes.end(), is_gone);
}

} // namespace

TEST(WorkerProcesses, end_with_their_driver_also_those_that_are_frozen) {
    FairqProcess fairq({"run", "crash-reclaim", "--profile", "standard"});
    const pid_t driver = fairq.process().pid();
    ASSERT_TRUE(eventually(Milliseconds(60'000), [&] { return workers_of(driver).size() >= 16; }))
        << fairq.output();
    const std::vector<pid_t> workers = workers_of(driver); // and its server
    kill(workers.back(), SIGSTOP);
    fairq.process().kill();
    EXPECT_TRUE(eventually(Milliseconds(30'000), [&] { return all_gone(workers); }));
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
