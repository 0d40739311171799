// queue_limits_hammer.cpp: see queue_limits_hammer.hpp.
#include "queue_limits_hammer.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <deque>
#include <mutex>
#include <random>
#include <thread>

#include <fmt/format.h>

#include "db/history.hpp"

namespace fairq::test {

using namespace fairq::driver;

namespace {

using Clock = std::chrono::steady_clock;

constexpr int kLargestCap = 10;
constexpr int kKeysOfTenant = 3;
constexpr std::size_t kMostHeld = 4; // leases of one session
constexpr int kDrainers = 8;
constexpr Milliseconds kDrainPatience{60'000};

template <class List>
void append(List &list, const List &more) {
    list.insert(list.end(), more.begin(), more.end());
}

void add(HammerOutcome &to, const HammerOutcome &from) {
    append(to.enqueued, from.enqueued);
    append(to.completed, from.completed);
    append(to.cancelled, from.cancelled);
    for (const auto &[what, times] : from.met)
        to.met[what] += times;
    to.errors.insert(from.errors.begin(), from.errors.end());
    to.cap_changes += from.cap_changes;
}

/// Random numbers, and pauses that end with the storm.
class Actor {
public:
    Actor(const HammerPlan &plan, std::uint64_t number, Clock::time_point end)
        : plan_(plan), random_(plan.seed + number), end_(end) {}

    HammerOutcome outcome;

protected:
    int up_to(int most) { return std::uniform_int_distribution<int>(1, most)(random_); }
    bool one_in(int most) { return up_to(most) == 1; }
    std::string some_tenant() { return hammered_tenant(up_to(plan_.tenants) - 1); }
    bool goes_on() const { return Clock::now() < end_; }
    void pause(int most_milliseconds) {
        std::this_thread::sleep_for(std::chrono::microseconds(up_to(most_milliseconds * 1000)));
    }

private:
    const HammerPlan plan_;
    std::mt19937_64 random_;
    const Clock::time_point end_;
};

/// A worker and producer.
class Session : public Actor {
public:
    Session(const std::string &conninfo, const HammerPlan &plan, std::uint64_t number, Clock::time_point end)
        : Actor(plan, number, end), database_(conninfo, "hammer") {}

    void run() {
        while (goes_on())
            try {
                step();
            } catch (const DatabaseError &error) {
                note(error);
            }
    }

    void enqueue(int jobs) {
        std::vector<std::string> tenants, keys;
        for (int i = 0; i < jobs; ++i) {
            tenants.push_back(some_tenant());
            keys.push_back(one_in(4) ? fmt::format("key-{}", up_to(kKeysOfTenant)) : "NULL");
        }
        const Rows rows = database_.query(
            fmt::format("SELECT enqueue_jobs('{{{}}}', 'hammered', priority => {}, max_attempts => {}, "
                        "concurrency_keys => '{{{}}}')",
                        fmt::join(tenants, ","), up_to(11) - 6, up_to(20), fmt::join(keys, ",")));
        for (const Row &row : rows)
            outcome.enqueued.push_back(std::stoll(row[0].value()));
    }

private:
    void step() {
        const int what = up_to(100);
        if (what <= 12)
            enqueue(up_to(40));
        else if (what <= 15)
            database_.query("SELECT reclaim_stuck_jobs('300 milliseconds')");
        else if (what <= 35 || held_.size() == kMostHeld)
            end_one_lease();
        else if (what <= 70)
            hold(claim());
        else
            claim_in_transaction(what);
    }

    void claim_in_transaction(int what) {
        database_.query("BEGIN");
        if (what <= 80) {
            database_.query("SAVEPOINT s");
            claim();
            database_.query("ROLLBACK TO s");
        }
        ClaimedJobs jobs = claim();
        std::vector<std::int64_t> completed;
        if (what <= 90) { // held open, while other sessions claim
            database_.query(note_call_ended());
            pause(30);
        } else if (what <= 94) {
            completed = complete_some(jobs);
        }
        if (what > 94) {
            database_.query("ROLLBACK");
            return;
        }
        database_.query("COMMIT");
        append(outcome.completed, completed);
        hold(std::move(jobs));
    }

    /// One round trip and one transaction, if none is open.
    ClaimedJobs claim() {
        const Rows rows = database_.query(
            fmt::format("{}; SELECT id, lock_token FROM claim_queued_jobs('hammer', {}, {})",
                        note_call_began(), one_in(3) ? up_to(3) : up_to(50), one_in(2) ? up_to(3) : 25));
        ClaimedJobs jobs;
        for (const Row &row : rows) {
            jobs.ids.push_back(std::stoll(row[0].value()));
            jobs.lock_token = row[1].value();
        }
        std::sort(jobs.ids.begin(), jobs.ids.end()); // locks rows in the order in which all sessions do
        return jobs;
    }

    void hold(ClaimedJobs jobs) {
        if (!jobs.ids.empty())
            held_.push_back(std::move(jobs));
    }

    /// The oldest, in one of all ways. Some of its jobs are completed first.
    void end_one_lease() {
        if (held_.empty())
            return;
        ClaimedJobs jobs = std::move(held_.front());
        held_.pop_front();
        append(outcome.completed, complete_some(jobs));
        if (jobs.ids.empty())
            return;
        const std::string all = id_array(jobs.ids);
        const int what = up_to(100);
        if (what <= 25)
            database_.query("SELECT release_jobs($1, $2)", {all, jobs.lock_token});
        else if (what <= 40)
            database_.query("SELECT release_jobs($1, $2, now() + '20 milliseconds')", {all, jobs.lock_token});
        else if (what <= 60)
            database_.query(
                "SELECT fail_job(id, $2, 'on purpose', retry => id % 3 > 0) FROM unnest($1::bigint[]) AS id",
                {all, jobs.lock_token});
        else if (what <= 65)
            cancel(jobs.ids[0]);
        else if (what <= 75)
            database_.query("SELECT heartbeat_jobs($1)", {jobs.lock_token});
        else if (what <= 85)
            complete_and_roll_back(jobs);
        // The rest of the jobs is left for sessions that reclaim.
    }

    /// Completes all jobs, or the first few, and keeps the rest. Returns the ids that were accepted.
    std::vector<std::int64_t> complete_some(ClaimedJobs &jobs) {
        if (jobs.ids.empty())
            return {};
        const int all = static_cast<int>(jobs.ids.size());
        const auto middle = jobs.ids.begin() + (one_in(3) ? all : up_to(all));
        const std::vector<std::int64_t> ids(jobs.ids.begin(), middle);
        jobs.ids.erase(jobs.ids.begin(), middle);
        return complete(database_, ids, jobs.lock_token);
    }

    void complete_and_roll_back(const ClaimedJobs &jobs) {
        database_.query("BEGIN");
        complete(database_, jobs.ids, jobs.lock_token);
        pause(20);
        database_.query("ROLLBACK");
    }

    void cancel(std::int64_t id) {
        if (database_.scalar("SELECT cancel_job($1)", {std::to_string(id)}) == "t")
            outcome.cancelled.push_back(id);
    }

    void note(const DatabaseError &error) {
        if (error.connection_lost())
            ++outcome.met["a session was killed"];
        else if (error.sqlstate() == "JQ001")
            ++outcome.met["a lease was lost"];
        else
            outcome.errors.insert(error.what());
        if (!error.connection_lost())
            try {
                database_.query("ROLLBACK");
            } catch (const DatabaseError &) { // killed just now
            }
    }

    Database database_;
    std::deque<ClaimedJobs> held_;
};

/// Raises, lowers, sets and takes away caps.
class CapChanger : public Actor {
public:
    CapChanger(const std::string &conninfo, const HammerPlan &plan, Clock::time_point end)
        : Actor(plan, 1'000'000, end), database_(conninfo, "cap changer") {}

    void set_all(int tenants) {
        for (int i = 0; i < tenants; ++i)
            change(hammered_tenant(i));
    }

    void run() {
        while (goes_on()) {
            change(some_tenant());
            pause(10);
        }
    }

private:
    void change(const std::string &tenant) {
        set_cap(database_, tenant, one_in(3) ? std::nullopt : std::optional<int>(up_to(kLargestCap)));
        ++outcome.cap_changes;
    }

    Database database_;
};

class Killer : public Actor {
public:
    Killer(const std::string &conninfo, const HammerPlan &plan, Clock::time_point end)
        : Actor(plan, 2'000'000, end), database_(conninfo, "killer") {}

    void run() {
        while (goes_on()) {
            pause(200);
            database_.query(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'fairq "
                "hammer' AND datname = current_database() ORDER BY random() LIMIT 1");
        }
    }

private:
    Database database_;
};

} // namespace

std::string hammered_tenant(int number) {
    return fmt::format("tenant-{:03}", number);
}

void set_cap(Database &database, const std::string &tenant, std::optional<int> cap) {
    database.query("SELECT set_tenant_limits($1, max_concurrency => $2)",
                   {tenant, std::to_string(cap.value_or(0))});
    database.query(note_cap_in_force(tenant));
}

HammerOutcome hammer_limits(const std::string &conninfo, const HammerPlan &plan) {
    const auto end = Clock::now() + std::chrono::microseconds(static_cast<std::int64_t>(plan.seconds * 1e6));
    HammerOutcome outcome;
    std::mutex mutex;
    std::vector<std::thread> threads;
    const auto start = [&](auto actor) {
        threads.emplace_back([&, actor] {
            try {
                actor->run();
            } catch (const std::exception &error) {
                actor->outcome.errors.insert(error.what());
            }
            const std::lock_guard<std::mutex> lock(mutex);
            add(outcome, actor->outcome);
        });
    };
    const auto changer = std::make_shared<CapChanger>(conninfo, plan, end);
    changer->set_all(plan.tenants);
    for (int i = 0; i < plan.sessions; ++i) {
        const auto session = std::make_shared<Session>(conninfo, plan, static_cast<std::uint64_t>(i), end);
        if (i == 0)
            session->enqueue(plan.first_jobs);
        start(session);
    }
    start(changer);
    start(std::make_shared<Killer>(conninfo, plan, end));
    for (std::thread &thread : threads)
        thread.join();
    return outcome;
}

bool drain(const std::string &conninfo, HammerOutcome &outcome) {
    const auto deadline = Clock::now() + kDrainPatience;
    const auto drain_some = [&](HammerOutcome &own) {
        Database database(conninfo, "drain");
        bool left = true;
        while (left && Clock::now() < deadline) {
            const ClaimedJobs jobs = claim(database, 500);
            if (!jobs.ids.empty())
                append(own.completed, complete(database, jobs.ids, jobs.lock_token));
            else if (number(database, "SELECT reclaim_stuck_jobs('300 milliseconds')") == 0)
                left = number(database, "SELECT count(*) FROM (SELECT FROM job_live LIMIT 1) AS rest") > 0;
        }
        return !left;
    };
    std::mutex mutex;
    std::atomic<bool> empty{true};
    std::vector<std::thread> threads;
    for (int i = 0; i < kDrainers; ++i)
        threads.emplace_back([&] {
            HammerOutcome own;
            try {
                if (!drain_some(own))
                    empty = false;
            } catch (const std::exception &error) {
                own.errors.insert(error.what());
                empty = false;
            }
            const std::lock_guard<std::mutex> lock(mutex);
            add(outcome, own);
        });
    for (std::thread &thread : threads)
        thread.join();
    return empty;
}

} // namespace fairq::test
