// tick_session.hpp: a tick in a session and a thread of its own.
#pragma once

#include <future>
#include <string>

#include "test_cluster.hpp"

namespace fairq::test {

class TickSession {
public:
    /// setting: run in its session first.
    TickSession(const std::string &conninfo, int workers, const std::string &setting = "")
        : TickSession(conninfo, "SELECT run_job_queue_parallel(" + std::to_string(workers) + ")", setting) {}

    /// Another statement that makes ticks, or that waits for their handlers.
    TickSession(const std::string &conninfo, const std::string &statement, const std::string &setting = "")
        : caller_(conninfo, "caller") {
        if (!setting.empty())
            caller_.query(setting);
        caller_.connect();
        summary_ = std::async(std::launch::async,
                              [this, statement] { return caller_.scalar(statement).value_or(""); });
    }

    int caller_pid() const { return caller_.backend_pid(); }
    bool returns_within(driver::Milliseconds patience) {
        return summary_.wait_for(patience) == std::future_status::ready;
    }
    std::string summary() { return summary_.get(); }

    /// The SQLSTATE that it ended with; empty: it succeeded.
    std::string error() {
        try {
            summary_.get();
            return "";
        } catch (const driver::DatabaseError &error) {
            return error.sqlstate().empty() ? "connection lost" : error.sqlstate();
        }
    }

private:
    driver::Database caller_;
    std::future<std::string> summary_;
};

} // namespace fairq::test
