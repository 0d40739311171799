// queue_limits_hammer.cpp: see queue_limits_hammer.hpp.
#include "queue_limits_hammer.hpp"

#include <algorithm>
#include <atomic>
#include <deque>
#include <mutex>

#include <fmt/format.h>

#include "db/history.hpp"
#include "queue_troubles.hpp"

namespace fairq::test {

using namespace fairq::driver;

namespace {

using Clock = Actor::Clock;

constexpr int kLargestCap = 10;
constexpr int kKeysOfTenant = 3;
constexpr std::size_t kMostHeld = 4; // leases of one session
constexpr int kDrainers = 8;

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

/// A worker and producer.
class Session : public Actor {
public:
    Session(const std::string &conninfo, const HammerPlan &plan, std::uint64_t number, Clock::time_point end)
        : Actor(plan, number, end), database_(conninfo, "hammer") {}

    void run() override {
        while (goes_on())
            try {
                step();
            } catch (const DatabaseError &error) {
                note(error);
            }
    }

    void enqueue(int jobs) {
        std::vector<std::string> tenants, keys, payloads;
        for (int i = 0; i < jobs; ++i) {
            tenants.push_back(some_tenant());
            const bool poison = plan_.troubles.poison && one_in(kJobsForEachPoison);
            payloads.push_back(poison ? kPoison : "{}");
            keys.push_back(!poison && one_in(4) ? fmt::format("key-{}", up_to(kKeysOfTenant)) : "NULL");
        }
        const Rows rows = database_.query(
            fmt::format("SELECT enqueue_jobs('{{{}}}', '{}', $1, priority => {}, max_attempts => {}, "
                        "concurrency_keys => '{{{}}}')",
                        fmt::join(tenants, ","), hammered_type(plan_.troubles.pauses ? up_to(kTypes) - 1 : 0),
                        up_to(11) - 6, up_to(20), fmt::join(keys, ",")),
            {array_literal(payloads)});
        for (const Row &row : rows)
            outcome.enqueued.push_back(std::stoll(row[0].value()));
    }

private:
    void step() {
        const int what = up_to(100);
        if (what <= 12)
            enqueue(up_to(40));
        else if (what <= 15 && !plan_.troubles.dead_workers)
            database_.query("SELECT reclaim_stuck_jobs('300 milliseconds')");
        else if (what <= 16 && plan_.troubles.publications)
            database_.query("SELECT redrive_dead_jobs(max_jobs => 20)");
        else if (what <= 35 || held_.size() == kMostHeld)
            end_one_lease();
        else if (what <= 70)
            begin_session(), hold(claim());
        else
            claim_in_transaction(what);
    }

    void begin_session() {
        if (plan_.troubles.new_sessions)
            database_.disconnect();
    }

    void claim_in_transaction(int what) {
        begin_session();
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
        // A job that is due at a time waits for that time, however late it is by a clock that was set back.
        const int what = plan_.troubles.clock_steps ? 60 + up_to(40) : up_to(100);
        if (what <= 25 || (what <= 70 && plan_.troubles.clock_steps))
            release(all, jobs.lock_token);
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

    void release(const std::string &ids, const std::string &lock_token) {
        try {
            database_.query("SELECT release_jobs($1, $2)", {ids, lock_token});
        } catch (const DatabaseError &error) {
            if (!plan_.troubles.poison || error.sqlstate() != kRefused)
                throw;
            ++outcome.met["a release was refused by a poison job"];
        }
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

    void run() override {
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

    void run() override {
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
    const auto start = [&](const std::shared_ptr<Actor> &actor) {
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
    for (const auto &maker : trouble_makers(conninfo, plan, end))
        start(maker);
    for (std::thread &thread : threads)
        thread.join();
    return outcome;
}

bool drain(const std::string &conninfo, HammerOutcome &outcome, const HammerPlan &plan,
           const std::string &condition) {
    const auto deadline = Clock::now() + plan.patience;
    const std::string rest =
        fmt::format("SELECT count(*) FROM (SELECT FROM job_live WHERE {} LIMIT 1) AS rest", condition);
    const auto drain_some = [&](HammerOutcome &own) {
        Database database(conninfo, "drain");
        bool left = true;
        while (left && Clock::now() < deadline) {
            if (plan.troubles.new_sessions)
                database.disconnect();
            const ClaimedJobs jobs = claim(database, 500);
            if (!jobs.ids.empty())
                append(own.completed, complete(database, jobs.ids, jobs.lock_token));
            else if (plan.troubles.dead_workers ||
                     number(database, "SELECT reclaim_stuck_jobs('300 milliseconds')") == 0)
                left = number(database, rest) > 0;
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
