// What people have after a run: files that are what they say they are, a report that can be made again, a comparison
// with an exit code, and samples of the server that never fail the run.
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <regex>
#include <sstream>
#include <thread>

#include <unistd.h>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "actors/sampler.hpp"
#include "report/report.hpp"
#include "test_cluster.hpp"
#include "text.hpp"

using namespace fairq::driver;
using namespace fairq::test;

namespace {

namespace fs = std::filesystem;

constexpr Milliseconds kLong{180'000};

std::string plan_path(const std::string &name) {
    return std::string(FAIRQ_TEST_PLANS) + "/" + name + ".toml";
}

std::string text_of(const fs::path &file) {
    std::ifstream stream(file, std::ios::binary);
    return std::string((std::istreambuf_iterator<char>(stream)), {});
}

class Reports : public DatabaseTest {
protected:
    /// Runs the small plan with these options more; the exit code.
    int run_small(const std::vector<std::string> &more, std::string *output = nullptr) {
        std::vector<std::string> arguments{"run", plan_path("small"), "--dsn=" + conninfo()};
        arguments.insert(arguments.end(), more.begin(), more.end());
        FairqProcess fairq(arguments);
        const int code = fairq.exit_code(kLong);
        if (output != nullptr)
            *output = fairq.output();
        return code;
    }
};

/// An environment variable for the processes that are started meanwhile.
class Variable {
public:
    Variable(const char *name, const std::string &value) : name_(name) { setenv(name, value.c_str(), 1); }
    ~Variable() { unsetenv(name_); }
    Variable(const Variable &) = delete;
    Variable &operator=(const Variable &) = delete;

private:
    const char *name_;
};

} // namespace

TEST_F(Reports, a_folder_has_every_file_and_the_report_can_be_made_again_from_its_result) {
    const TemporaryFolder folder;
    const fs::path dir = fs::path(folder.path()) / "new" / "results";
    std::string output;
    ASSERT_EQ(run_small({"--report", dir.string(), "--seed", "7"}, &output), 0) << output;
    EXPECT_NE(output.find("FILES"), std::string::npos) << output;
    // The command that repeats the run may be broken between any two words.
    EXPECT_TRUE(std::regex_search(output, std::regex(R"(--seed[\s\\]+7[\s\\]+--dsn)"))) << output;
    const fs::path source = fs::path(FAIRQ_SHIPPED_PLANS) / "../..";
    const std::string check =
        fmt::format("'{}' '{}' '{}' >&2", (source / "tests/support/check-reports").string(), dir.string(),
                    (source / "docs/result.schema.json").string());
    EXPECT_EQ(std::system(check.c_str()), 0);

    const std::string page = text_of(dir / "report.html");
    for (const char *name : {"report.html", "junit.xml", "series.csv", "report.md", "gates.tap"})
        fs::remove(dir / name);
    FairqProcess again({"report", dir.string()});
    EXPECT_EQ(again.exit_code(kLong), 0) << again.output();
    EXPECT_EQ(text_of(dir / "report.html"), page);
    EXPECT_TRUE(fs::exists(dir / "junit.xml"));
    EXPECT_NE(again.output().find("LEDGER"), std::string::npos);
    FairqProcess one({"report", (dir / "result.json").string(), "--html", "-", "-q"});
    EXPECT_EQ(one.exit_code(kLong), 0);
    EXPECT_NE(one.output().find("<!DOCTYPE html>"), std::string::npos);
}

TEST_F(Reports, a_comparison_says_by_its_exit_code_what_became_of_the_run) {
    const TemporaryFolder folder;
    const std::string base = folder.path() + "/base.json", slow = folder.path() + "/slow.json";
    ASSERT_EQ(run_small({"-q", "--json", base}), 0);
    FairqProcess same({"compare", base, base});
    EXPECT_EQ(same.exit_code(kLong), 0) << same.output();
    auto json = nlohmann::json::parse(text_of(base));
    for (auto &metric : json["metrics"])
        if (metric["name"] == "drain_seconds") {
            metric["values"]["value"] = metric["values"]["value"].get<double>() * 1000;
            metric["intervals"] = nlohmann::json::object();
        }
    std::ofstream(slow) << json;
    FairqProcess worse({"compare", base, slow});
    EXPECT_EQ(worse.exit_code(kLong), 99) << worse.output();
    EXPECT_NE(worse.output().find("WORSE        drain_seconds{phase:single}"), std::string::npos)
        << worse.output();
    FairqProcess patient({"compare", base, slow, "--max-regression", "200000%"});
    EXPECT_EQ(patient.exit_code(kLong), 0) << patient.output();
}

TEST_F(Reports, what_cannot_be_read_or_written_is_said_in_one_sentence) {
    const TemporaryFolder folder;
    const std::string text = folder.path() + "/text", failed = folder.path() + "/failed.json";
    std::ofstream(text) << "no result";
    std::ofstream(failed) << report::json_failure(judge::Outcome::setup, "no server");
    for (const auto &[file, sentence] :
         {std::pair(folder.path() + "/none", "cannot read"), std::pair(text, "it is no result of fairq run"),
          std::pair(failed, "the run never started: no server"), std::pair(folder.path(), "cannot read")}) {
        FairqProcess fairq({"report", file});
        EXPECT_EQ(fairq.exit_code(kLong), 104) << fairq.output();
        EXPECT_NE(fairq.output().find(sentence), std::string::npos) << fairq.output();
    }
    FairqProcess twice({"run", plan_path("small"), "--json", "-", "--html", "-"});
    EXPECT_EQ(twice.exit_code(kLong), 104) << twice.output();
    FairqProcess file({"run", plan_path("small"), "--report", text});
    EXPECT_EQ(file.exit_code(kLong), 104) << file.output();
}

TEST_F(Reports, a_full_disk_shows_in_the_exit_code_whatever_the_format) {
    const TemporaryFolder folder;
    const std::string result = folder.path() + "/result.json";
    ASSERT_EQ(run_small({"-q", "--json", result}), 0);
    for (const char *format : {"--json", "--html", "--junit", "--csv", "--tap", "--markdown"}) {
        FairqProcess fairq({"report", result, format, "/dev/full"});
        EXPECT_EQ(fairq.exit_code(kLong), 106) << format << fairq.output();
        EXPECT_NE(fairq.output().find("cannot write /dev/full: No space left on device"), std::string::npos);
    }
    const Variable github("GITHUB_STEP_SUMMARY", "/dev/full");
    EXPECT_EQ(run_small({"-q"}), 106);
}

TEST_F(Reports, github_gets_a_summary_after_what_is_there_and_a_line_for_each_gate_that_does_not_hold) {
    const TemporaryFolder folder;
    const std::string file = folder.path() + "/summary.md";
    std::ofstream(file) << "of the step before\n";
    const Variable summary("GITHUB_STEP_SUMMARY", file), actions("GITHUB_ACTIONS", "true");
    std::string output;
    EXPECT_EQ(run_small({"-q", "--threshold", "tick_ms:max<0.001"}, &output), 99) << output;
    EXPECT_EQ(text_of(file).substr(0, 30), "of the step before\n## FAIL: sm");
    EXPECT_NE(output.find("::error title=small OPTION%3A fail::tick_ms was "), std::string::npos) << output;
}

TEST_F(Reports, a_run_that_never_started_leaves_a_failing_test_for_the_ci) {
    const TemporaryFolder folder;
    FairqProcess fairq(
        {"run", plan_path("small"), "--dsn", "host=/nonexistent dbname=x", "--report", folder.path()});
    EXPECT_EQ(fairq.exit_code(kLong), 3);
    EXPECT_NE(text_of(folder.path() + "/junit.xml").find("errors=\"1\""), std::string::npos);
    EXPECT_NE(text_of(folder.path() + "/report.html").find("SETUP"), std::string::npos);
}

TEST_F(Reports, forty_columns_are_enough) {
    const Variable columns("COLUMNS", "40");
    std::string output;
    EXPECT_EQ(run_small({}, &output), 0);
    const std::size_t from = output.find("PASS  small");
    std::istringstream lines(
        output.substr(from, output.find("  AGAIN", from) - from)); // no word of the command is cut
    for (std::string line; std::getline(lines, line);)
        EXPECT_LE(columns_of(line), 40U) << line;
    EXPECT_NE(output.find("\n  LEDGER\n"), std::string::npos) << output;
}

TEST_F(Reports, passwords_are_not_in_what_is_printed_and_stored) {
    const TemporaryFolder folder;
    const std::string file = folder.path() + "/result.json";
    FairqProcess fairq(
        {"run", plan_path("small"), "--dsn", conninfo() + " password='geh eim'", "--json", file});
    EXPECT_EQ(fairq.exit_code(kLong), 0) << fairq.output();
    EXPECT_EQ(fairq.output().find("geh eim"), std::string::npos) << fairq.output();
    EXPECT_EQ(text_of(file).find("geh eim"), std::string::npos);
}

TEST_F(Reports, the_sampler_sees_waits_connections_processes_and_what_a_job_costs) {
    const engine::RunResult run = this->run("actors", "sound");
    const engine::PhaseResult &phase = run.phases.at(0);
    ASSERT_FALSE(phase.system.samples.all().empty()) << report::text_report(run, {});
    const measure::SystemSample &last = phase.system.samples.all().back();
    EXPECT_GT(last.connections, 3);
    EXPECT_GT(last.database_bytes, 1'000'000);
    EXPECT_TRUE(last.sees_server);
    EXPECT_GT(last.server.processes, 5);
    EXPECT_GT(last.server.memory_bytes, 1'000'000);
    EXPECT_GT(last.driver.descriptors, 3);
    EXPECT_TRUE(phase.system.cost.known);
    EXPECT_GT(phase.system.cost.wal_bytes, 100 * 100) << "100 jobs were written";
    EXPECT_GE(phase.system.cost.commits, 200) << "an enqueue and a completion for each";
    EXPECT_GE(phase.system.cost.round_trips, 300);
    EXPECT_EQ(phase.system.notes, std::vector<std::string>{});
}

TEST_F(Reports, the_sampler_sees_what_sessions_wait_for) {
    db::Database holder(conninfo(), "test"), waiter(conninfo(), "test");
    holder.query("BEGIN");
    holder.query("SELECT pg_advisory_xact_lock(4711)");
    std::thread waits([&] { waiter.query("SELECT pg_advisory_xact_lock(4711)"); });
    EXPECT_TRUE(eventually(kLong, [&] {
        return database().scalar("SELECT count(*) FROM pg_locks WHERE NOT granted") == db::Cell("1");
    }));
    actors::Sampler sampler(conninfo(), "public", "abc123", Milliseconds(20));
    std::this_thread::sleep_for(Milliseconds(500));
    const measure::SystemFigures figures = sampler.stop();
    holder.query("COMMIT");
    waits.join();
    ASSERT_FALSE(figures.samples.all().empty());
    const measure::SystemSample &sample = figures.samples.all().back();
    EXPECT_EQ(sample.waits.count("Lock/advisory"), 1U);
    EXPECT_EQ(sample.locks_waited_for, 1);
}

TEST_F(Reports, a_sampler_that_cannot_connect_tells_it_and_no_more) {
    actors::Sampler sampler("host=/nonexistent dbname=x", "public", "abc123", Milliseconds(20));
    std::this_thread::sleep_for(Milliseconds(200));
    const measure::SystemFigures figures = sampler.stop();
    EXPECT_TRUE(figures.samples.all().empty());
    EXPECT_GT(figures.missed, 0);
    ASSERT_FALSE(figures.notes.empty());
    EXPECT_NE(figures.notes[0].find("no sample of the server"), std::string::npos) << figures.notes[0];
    EXPECT_FALSE(figures.cost.known);
}

TEST_F(Reports, a_run_whose_sampler_is_cut_again_and_again_passes_and_tells_it) {
    std::atomic<bool> over{false};
    std::thread cuts([&] {
        db::Database knife(shared_cluster().conninfo("postgres"), "test");
        while (!over) {
            knife.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE "
                        "'fairq sampler %'");
            std::this_thread::sleep_for(Milliseconds(5));
        }
    });
    const engine::RunResult run = this->run("small", "sound");
    over = true;
    cuts.join();
    EXPECT_EQ(run.outcome, judge::Outcome::pass) << report::text_report(run, {});
    EXPECT_NE(report::text_report(run, {}).find("sampler: "), std::string::npos)
        << report::text_report(run, {});
}

TEST_F(Reports, a_fault_has_a_window_and_errors_their_sqlstate) {
    plan::Plan plan = test_plan("actors", "fails");
    plan::FaultsActor faults;
    faults.of = "worker";
    faults.first = Milliseconds(200);
    plan.phases[0].faults = {faults};
    plan.phases[0].at_rest = Milliseconds(60'000); // what a cut worker held comes back with its lease
    const report::Summary summary = report::summarize(run_quietly(plan, conninfo()));
    const report::PhaseSummary &phase = summary.phases.at(0);
    ASSERT_EQ(phase.faults.size(), 1U);
    EXPECT_TRUE(phase.faults[0].fired);
    EXPECT_GT(phase.faults[0].from, 0.1);
    EXPECT_GE(phase.faults[0].to, phase.faults[0].from);
    const auto failed =
        std::find_if(phase.errors.begin(), phase.errors.end(),
                     [](const report::ErrorLine &error) { return error.sqlstate == "22012"; });
    ASSERT_NE(failed, phase.errors.end()) << report::text_report(summary, {});
    EXPECT_EQ(failed->actor, "clients");
    EXPECT_GT(failed->count, 10);
}
