// server_test.cpp: see server_test.hpp.
#include "server_test.hpp"

#include <csignal>
#include <filesystem>

#include <fmt/format.h>

#include "interrupt.hpp"

namespace fairq::test {

using namespace fairq::driver;

namespace {

constexpr Milliseconds kPatience{30'000};

} // namespace

void ServerTest::SetUp() {
    if (interrupted())
        GTEST_SKIP() << "stopped by a signal";
    ClusterOptions options;
    options.needs_cron = false;
    options.settings = {{"fsync", "off"}, {"fairq.lease_timeout", "200ms"}, {"autovacuum", "off"}};
    for (const auto &[name, value] : settings())
        options.settings[name] = value;
    cluster_.emplace(options);
    database_.emplace(cluster_->conninfo(), "test");
}

bool ServerTest::answers() {
    try {
        return database_->scalar("SELECT 1") == "1";
    } catch (const DatabaseError &) {
        return false;
    }
}

bool ServerTest::server_answers() {
    return eventually(kPatience, [&] { return answers(); });
}

bool ServerTest::restart_server() {
    database_->disconnect();
    folder_ = cluster_->keep();
    database_.emplace(fmt::format("host='{}' port=5432 dbname=fairq user=postgres", folder_), "test");
    const Command postgres{
        {find_installation().bin_folder + "/postgres", "-D", folder_ + "/data"}, folder_ + "/log", folder_};
    return eventually(kPatience, [&] {
        // It refuses to start for as long as a process of the old one is there.
        if (!server_.running())
            server_ = Process::start(postgres, server_identity());
        return answers();
    });
}

void ServerTest::TearDown() {
    database_.reset();
    if (folder_.empty())
        return;
    server_.signal(SIGINT);
    server_.wait_for(kPatience);
    server_.kill();
    std::filesystem::remove_all(folder_);
}

} // namespace fairq::test
