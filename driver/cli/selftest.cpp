// selftest.cpp: fairq selftest: the negative controls on throw-away clusters, a line each. They mostly wait, so several run
// at once; those that stop their server have another one, and run one after the other.
#include <algorithm>
#include <atomic>
#include <future>
#include <mutex>

#include <fmt/format.h>

#include "cli/output.hpp"
#include "cli/verbs.hpp"
#include "errors.hpp"
#include "interrupt.hpp"
#include "selftest/selftest.hpp"

namespace fairq::driver::cli {
namespace {

constexpr int kAtOnce = 4;

class Tally {
public:
    void add(const selftest::Finding &finding) {
        const std::lock_guard<std::mutex> lock(mutex_);
        ++(finding.seen ? passed_ : failed_);
        std::string line =
            fmt::format("{}  {:<28} {}\n", finding.seen ? "ok    " : "NOT OK", finding.name, finding.what);
        if (!finding.seen)
            line += fmt::format("        {}\n", finding.said);
        written_ = print(stdout, line) && written_;
    }

    int end() {
        written_ = print(stdout, fmt::format("{} passed, {} failed\n", passed_, failed_)) && written_;
        const bool good = failed_ == 0 && passed_ > 0;
        return exit_code(with_output(good ? judge::Outcome::pass : judge::Outcome::broken, written_));
    }

private:
    std::mutex mutex_; // of all that follows
    int passed_ = 0, failed_ = 0;
    bool written_ = true;
};

/// Controls that share a server.
class Group {
public:
    Group(std::vector<selftest::Control> controls, Tally &tally)
        : controls_(std::move(controls)), tally_(tally) {}

    /// Runs one control after the other, until none is left. Several threads may do so.
    void run(fault::Cluster &cluster) {
        for (std::size_t i = next_++; i < controls_.size(); i = next_++) {
            if (interrupted())
                throw Interrupted();
            tally_.add(run_control(controls_[i], static_cast<int>(i), cluster));
        }
    }

private:
    const std::vector<selftest::Control> controls_;
    std::atomic<std::size_t> next_{0};
    Tally &tally_;
};

} // namespace

int selftest(const Options &) {
    Tally tally;
    for (const selftest::Finding &finding : selftest::gate_controls())
        tally.add(finding);
    std::vector<selftest::Control> controls = selftest::ledger_controls();
    for (const selftest::Control &control : selftest::fault_controls())
        controls.push_back(control);
    const auto striking = std::stable_partition(controls.begin(), controls.end(), [](const auto &control) {
        return !strikes_server(selftest::plan_of(control));
    });
    Group peaceful({controls.begin(), striking}, tally), strikes({striking, controls.end()}, tally);
    fault::Cluster cluster(selftest::cluster_options());
    std::vector<std::future<void>> running;
    running.push_back(std::async(std::launch::async, [&strikes] {
        fault::Cluster own(selftest::cluster_options()); // made by the thread that starts it again
        strikes.run(own);
    }));
    for (int i = 0; i < kAtOnce; ++i)
        running.push_back(std::async(std::launch::async, [&] { peaceful.run(cluster); }));
    for (std::future<void> &lane : running)
        lane.get();
    return tally.end();
}

} // namespace fairq::driver::cli
