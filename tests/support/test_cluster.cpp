// test_cluster.cpp: see test_cluster.hpp. Tests run one after the other; nothing here is for several threads.
#include "test_cluster.hpp"

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <thread>

#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "interrupt.hpp"

namespace fairq::test {

namespace fs = std::filesystem;
using namespace fairq::driver;

namespace {

std::unique_ptr<Cluster> &cluster_slot() {
    static std::unique_ptr<Cluster> slot;
    return slot;
}

constexpr Milliseconds kPollPause{50};

} // namespace

ClusterOptions test_cluster_options() {
    ClusterOptions options;
    options.settings["fsync"] = "off";         // none of these tests pulls the plug
    options.settings["wal_level"] = "logical"; // for db/history.hpp
    return options;
}

Cluster &shared_cluster() {
    auto &slot = cluster_slot();
    if (!slot)
        slot = std::make_unique<Cluster>(test_cluster_options());
    return *slot;
}

void remove_shared_cluster() {
    cluster_slot().reset();
}

Plan test_plan(const std::string &name, const std::string &profile, const std::vector<Param> &options) {
    return read_plan(fmt::format("{}/{}.toml", FAIRQ_TEST_PLANS, name), {profile, options});
}

RunResult run_quietly(const Plan &plan, const std::string &conninfo) {
    Progress progress(Progress::Mode::quiet, Milliseconds(1000));
    RunSettings settings;
    settings.conninfo = conninfo;
    settings.seed = 42;
    return run_plan(plan, settings, progress);
}

const GateResult &gate_of(const RunResult &run, const std::string &metric) {
    for (const GateResult &result : run.gates)
        if (result.gate.metric_text == metric)
            return result;
    throw std::logic_error("the plan has no gate on " + metric);
}

TemporaryFolder::TemporaryFolder() {
    std::string pattern = (fs::temp_directory_path() / "fairq-test-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr)
        throw std::runtime_error("cannot make " + pattern);
    path_ = pattern;
    chmod(path_.c_str(), 0755); // as root the server runs as another user
}

TemporaryFolder::~TemporaryFolder() {
    std::error_code error;
    fs::remove_all(path_, error);
}

std::vector<std::string> TemporaryFolder::entries() const {
    std::vector<std::string> names;
    for (const auto &entry : fs::directory_iterator(path_))
        names.push_back(entry.path().filename().string());
    return names;
}

FairqProcess::FairqProcess(const std::vector<std::string> &arguments) {
    Command command;
    command.arguments = {FAIRQ_BINARY};
    command.arguments.insert(command.arguments.end(), arguments.begin(), arguments.end());
    command.output = log_folder_.path() + "/output";
    const char *before = std::getenv("TMPDIR");
    const std::string saved = before != nullptr ? before : "";
    setenv("TMPDIR", folder_.path().c_str(), 1);
    process_ = Process::start(command, {geteuid(), getegid(), ""});
    saved.empty() ? unsetenv("TMPDIR") : setenv("TMPDIR", saved.c_str(), 1);
}

int FairqProcess::exit_code(Milliseconds patience) {
    if (process_.wait_for(patience))
        return process_.wait();
    process_.kill();
    return -1;
}

std::string FairqProcess::output() const {
    std::ifstream file(log_folder_.path() + "/output");
    return std::string((std::istreambuf_iterator<char>(file)), {});
}

std::string FairqProcess::last_line() const {
    std::string text = output();
    text.erase(text.find_last_not_of('\n') + 1);
    return text.substr(text.rfind('\n') + 1);
}

bool eventually(Milliseconds patience, const std::function<bool()> &holds) {
    const auto deadline = std::chrono::steady_clock::now() + patience;
    while (!holds()) {
        if (std::chrono::steady_clock::now() > deadline)
            return false;
        std::this_thread::sleep_for(kPollPause);
    }
    return true;
}

void DatabaseTest::SetUp() {
    if (interrupted())
        GTEST_SKIP() << "stopped by a signal";
    static int number = 0;
    name_ = fmt::format("test_{}", ++number);
    Database(shared_cluster().conninfo("postgres"), "test").query("CREATE DATABASE " + name_);
    conninfo_ = shared_cluster().conninfo(name_);
    database_ = std::make_unique<Database>(conninfo_, "test");
    if (schema().empty())
        return;
    database_->query("CREATE SCHEMA IF NOT EXISTS \"" + schema() + "\"");
    database_->query("CREATE EXTENSION fairq SCHEMA \"" + schema() + "\"");
}

void DatabaseTest::TearDown() {
    database_.reset();
    if (!name_.empty())
        Database(shared_cluster().conninfo("postgres"), "test")
            .query("DROP DATABASE " + name_ + " WITH (FORCE)");
}

RunResult DatabaseTest::run(const std::string &plan, const std::string &profile,
                            const std::vector<Param> &options) {
    // A result points to its plan.
    static std::vector<std::unique_ptr<Plan>> plans;
    plans.push_back(std::make_unique<Plan>(test_plan(plan, profile, options)));
    return run_quietly(*plans.back(), conninfo_);
}

} // namespace fairq::test
