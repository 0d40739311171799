// test_cluster.hpp: what integration tests stand on: one throw-away cluster for the whole binary, a database
// of its own for each test, plans of tests/integration/plans, and the fairq binary as a child process.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "db/database.hpp"
#include "engine/engine.hpp"
#include "fault/cluster.hpp"
#include "fault/process.hpp"

namespace fairq::driver {
// Tests name the driver's parts without their rooms.
using namespace db;
using namespace engine;
using namespace fault;
using namespace judge;
using namespace plan;
} // namespace fairq::driver

namespace fairq::test {

driver::ClusterOptions test_cluster_options();

/// The cluster that all tests share; made by the first that asks.
driver::Cluster &shared_cluster();

/// Removes it, at the end of main.
void remove_shared_cluster();

driver::Plan test_plan(const std::string &name, const std::string &profile = "",
                       const std::vector<driver::Param> &options = {});

/// Runs a plan in this process, quietly.
driver::RunResult run_quietly(const driver::Plan &plan, const std::string &conninfo);

/// The result of the gate with this metric, in full as the plan writes it.
const driver::GateResult &gate_of(const driver::RunResult &run, const std::string &metric);

/// A folder of its own that everybody may look into, removed at the end.
class TemporaryFolder {
public:
    TemporaryFolder();
    ~TemporaryFolder();
    TemporaryFolder(const TemporaryFolder &) = delete;
    TemporaryFolder &operator=(const TemporaryFolder &) = delete;

    const std::string &path() const { return path_; }
    std::vector<std::string> entries() const;

private:
    std::string path_;
};

/// The fairq binary as a child. $TMPDIR is the temporary folder, so that whatever it leaves behind shows
/// there.
class FairqProcess {
public:
    explicit FairqProcess(const std::vector<std::string> &arguments);

    driver::Process &process() { return process_; }

    /// Waits; a run that takes longer is killed and reported as -1.
    int exit_code(driver::Milliseconds patience);

    /// stdout and stderr so far.
    std::string output() const;
    std::string last_line() const;
    const TemporaryFolder &folder() const { return folder_; }

private:
    TemporaryFolder folder_;
    TemporaryFolder log_folder_;
    driver::Process process_;
};

/// Calls `holds` until it is true; false when it is not within the time.
bool eventually(driver::Milliseconds patience, const std::function<bool()> &holds);

/// A test with a new database of the shared cluster that has the extension.
class DatabaseTest : public testing::Test {
protected:
    void SetUp() override;
    void TearDown() override;

    const std::string &conninfo() const { return conninfo_; }
    driver::Database &database() { return *database_; }
    driver::RunResult run(const std::string &plan, const std::string &profile,
                          const std::vector<driver::Param> &options = {});

    /// Where CREATE EXTENSION puts fairq; empty: no extension.
    virtual std::string schema() const { return "public"; }

private:
    std::string name_;
    std::string conninfo_;
    std::unique_ptr<driver::Database> database_;
};

} // namespace fairq::test
