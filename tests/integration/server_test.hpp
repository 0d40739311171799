// server_test.hpp: a test with a server of its own, which may be hurt.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "test_cluster.hpp"

namespace fairq::test {

class ServerTest : public testing::Test {
protected:
    void SetUp() override;
    void TearDown() override;

    /// Lines of postgresql.conf, over those of every such test.
    virtual std::map<std::string, std::string> settings() const { return {}; }

    driver::Database &database() { return *database_; }
    std::string conninfo() const { return database_->conninfo(); }

    /// Waits until it does, after a crash say.
    bool server_answers();

    /// All of it, postmaster included, in the same folder; true when it answers.
    bool restart_server();

    pid_t server_pid() const { return cluster_->server_pid(); }

private:
    bool answers();

    std::optional<driver::Cluster> cluster_;
    std::optional<driver::Database> database_;
    std::string folder_;
    driver::Process server_;
};

} // namespace fairq::test
