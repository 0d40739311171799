// queue_troubles.cpp: see queue_troubles.hpp.
#include "queue_troubles.hpp"

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <fmt/format.h>

namespace fairq::test {

namespace fs = std::filesystem;
using namespace fairq::driver;

namespace {

constexpr int kHour = 3600;

void set_paused(Database &database, const std::string &tenant, bool paused) {
    database.query("SELECT set_tenant_limits($1, paused => $2)", {tenant, paused ? "t" : "f"});
}

void set_rate(Database &database, const std::string &tenant, int per_second) {
    database.query("SELECT set_tenant_limits($1, rate_per_second => $2)",
                   {tenant, std::to_string(per_second)});
}

void set_type_paused(Database &database, int type, bool paused) {
    database.query(fmt::format("SELECT {}_job_type($1)", paused ? "pause" : "resume"), {hammered_type(type)});
}

class Pauser : public Actor {
public:
    Pauser(const std::string &conninfo, const HammerPlan &plan, Clock::time_point end)
        : Actor(plan, 3'000'000, end), database_(conninfo, "pauser") {}

    void run() override {
        while (goes_on()) {
            set_paused(database_, some_tenant(), one_in(2));
            if (one_in(4))
                set_type_paused(database_, up_to(kTypes) - 1, one_in(2));
            if (one_in(4))
                set_rate(database_, some_tenant(), one_in(2) ? 0 : up_to(100));
            ++outcome.met["a pause or a resume"];
            pause(5);
        }
    }

private:
    Database database_;
};

class ClockStepper : public Actor {
public:
    ClockStepper(const HammerPlan &plan, Clock::time_point end) : Actor(plan, 4'000'000, end) {}

    void run() override {
        while (goes_on()) {
            const int step = one_in(2) ? kHour : up_to(3);
            SteppedClock::set(plan_.clock, one_in(2) ? step : -step);
            ++outcome.met["a step of the clock"];
            pause(300);
        }
    }
};

/// Drops the partitions that have no rows, and lets the queue make them anew.
class Partitioner : public Actor {
public:
    Partitioner(const std::string &conninfo, const HammerPlan &plan, Clock::time_point end)
        : Actor(plan, 5'000'000, end), database_(conninfo, "partitioner") {}

    void run() override {
        // It gives up before a session that waits for it looks for a deadlock.
        database_.query("SET lock_timeout = '50ms'");
        while (goes_on()) {
            try {
                drop_empty();
                database_.query("SELECT make_history_partitions($1)", {std::to_string(up_to(4) - 1)});
                ++outcome.met["partitions made"];
            } catch (const DatabaseError &error) {
                if (error.sqlstate() != kLockNotAvailable)
                    throw;
            }
            pause(50);
        }
    }

private:
    static constexpr const char *kLockNotAvailable = "55P03";

    void drop_empty() {
        database_.query("DO $$ DECLARE part regclass; empty boolean; BEGIN "
                        "FOR part IN SELECT inhrelid FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid "
                        "WHERE inhparent = 'job_history'::regclass AND relname <> 'job_history_default' "
                        "ORDER BY relname DESC LOOP "
                        "EXECUTE format('LOCK TABLE job_history, %s IN ACCESS EXCLUSIVE MODE', part); "
                        "EXECUTE format('SELECT NOT EXISTS (SELECT FROM %s)', part) INTO empty; "
                        "IF empty THEN EXECUTE format('DROP TABLE %s', part); END IF; "
                        "END LOOP; END $$");
    }

    Database database_;
};

} // namespace

std::string hammered_type(int number) {
    return fmt::format("hammered-{}", number);
}

void prepare_troubles(Database &database, const HammerPlan &plan) {
    // Whoever puts a job with poison back into its lane, once it has been claimed, divides by zero.
    if (plan.troubles.poison)
        database.query(
            "CREATE INDEX poison ON job_live ((1 / CASE WHEN payload ? 'poison' AND status = 'queued' AND "
            "attempts > 0 THEN 0 ELSE 1 END))");
    if (!plan.troubles.publications)
        return;
    database.query("CREATE PUBLICATION everything FOR ALL TABLES");
    for (int i = 0; i < plan.tenants; i += 10)
        database.query("SELECT set_tenant_limits($1, max_pending => 1000000)", {hammered_tenant(i)});
}

std::vector<std::shared_ptr<Actor>> trouble_makers(const std::string &conninfo, const HammerPlan &plan,
                                                   Actor::Clock::time_point end) {
    std::vector<std::shared_ptr<Actor>> makers;
    if (plan.troubles.pauses)
        makers.push_back(std::make_shared<Pauser>(conninfo, plan, end));
    if (plan.troubles.clock_steps)
        makers.push_back(std::make_shared<ClockStepper>(plan, end));
    if (plan.troubles.partitions)
        makers.push_back(std::make_shared<Partitioner>(conninfo, plan, end));
    return makers;
}

void settle_troubles(Database &database, const HammerPlan &plan) {
    for (int i = 0; plan.troubles.pauses && i < plan.tenants; ++i) {
        set_paused(database, hammered_tenant(i), i % 2 == 1);
        set_rate(database, hammered_tenant(i), 0);
    }
    for (int i = 0; plan.troubles.pauses && i < kTypes; ++i)
        set_type_paused(database, i, i == 0);
    // A job that is refused stays locked, and counts for its tenant's cap.
    for (int i = 0; plan.troubles.poison && i < plan.tenants; ++i)
        set_cap(database, hammered_tenant(i), std::nullopt);
    if (plan.troubles.clock_steps)
        SteppedClock::set(plan.clock, -kHour);
}

std::string can_be_done(const Troubles &troubles) {
    std::string condition = "true";
    if (troubles.pauses)
        condition += " AND job_type NOT IN (SELECT job_type FROM paused_job_types) AND tenant_id NOT IN "
                     "(SELECT tenant_id FROM tenant_limits WHERE paused)";
    if (troubles.poison)
        condition += " AND NOT payload ? 'poison'";
    return condition;
}

void end_troubles(Database &database, const HammerPlan &plan) {
    for (int i = 1; plan.troubles.pauses && i < plan.tenants; i += 2)
        set_paused(database, hammered_tenant(i), false);
    if (plan.troubles.pauses)
        set_type_paused(database, 0, false);
    if (plan.troubles.poison)
        database.query("DROP INDEX poison");
}

namespace {

/// The library for processes with threads and without; empty when it is not there.
std::string faketime_library() {
    std::error_code error;
    for (const auto &entry : fs::directory_iterator("/usr/lib", error))
        if (const fs::path library = entry.path() / "faketime/libfaketime.so.1"; fs::exists(library, error))
            return library;
    return fs::exists("/usr/lib64/faketime/libfaketime.so.1", error) ? "/usr/lib64/faketime/libfaketime.so.1"
                                                                     : "";
}

} // namespace

bool SteppedClock::available() {
    return !faketime_library().empty();
}

void SteppedClock::set(const std::string &file, int seconds_ahead) {
    std::ofstream(file + ".new") << fmt::format("{:+}\n", seconds_ahead);
    fs::rename(file + ".new", file); // a process that reads it meanwhile sees the one or the other
}

void SteppedClock::set_environment(bool on) const {
    set(file(), 0);
    const std::vector<std::pair<const char *, std::string>> environment{
        {"LD_PRELOAD", faketime_library()},
        {"FAKETIME_TIMESTAMP_FILE", file()},
        {"FAKETIME_NO_CACHE", "1"},
        {"FAKETIME_DISABLE_SHM", "1"},         // each process reads the file
        {"FAKETIME_DONT_FAKE_MONOTONIC", "1"}, // no clock that is set jumps there
        {"DONT_FAKE_MONOTONIC", "1"},          // its older name
    };
    for (const auto &[name, value] : environment)
        on ? setenv(name, value.c_str(), 1) : unsetenv(name);
}

} // namespace fairq::test
