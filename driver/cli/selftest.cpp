// selftest.cpp: fairq selftest: the negative controls on a throw-away cluster, a line each.
#include <fmt/format.h>

#include "cli/output.hpp"
#include "cli/verbs.hpp"
#include "errors.hpp"
#include "interrupt.hpp"
#include "selftest/selftest.hpp"

namespace fairq::driver::cli {
namespace {

class Tally {
public:
    void add(const selftest::Finding &finding) {
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
    int passed_ = 0, failed_ = 0;
    bool written_ = true;
};

} // namespace

int selftest(const Options &) {
    Tally tally;
    for (const selftest::Finding &finding : selftest::gate_controls())
        tally.add(finding);
    fault::Cluster cluster(selftest::cluster_options());
    int number = 0;
    for (const auto &controls : {selftest::ledger_controls(), selftest::fault_controls()})
        for (const selftest::Control &control : controls) {
            if (interrupted())
                throw Interrupted();
            tally.add(run_control(control, ++number, cluster));
        }
    return tally.end();
}

} // namespace fairq::driver::cli
