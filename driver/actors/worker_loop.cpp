// worker_loop.cpp: see worker_loop.hpp.
#include "actors/worker_loop.hpp"

#include <algorithm>
#include <thread>

#include <fmt/format.h>

namespace fairq::driver::actors {
namespace {

using Clock = std::chrono::steady_clock;

constexpr Milliseconds kPatience{30'000}; ///< of a statement
constexpr Milliseconds kPauseAfterError{100};

/// A number from 0 to 1 that only the seed, the job and its attempt decide (splitmix64).
double chance(std::uint64_t seed, std::uint64_t job, std::uint64_t attempt) {
    std::uint64_t x = seed ^ (job * 0x9e3779b97f4a7c15ULL) ^ (attempt << 56);
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
    return static_cast<double>((x ^ (x >> 31)) >> 11) / 9007199254740992.0;
}

std::string ids_literal(const std::vector<long long> &ids) {
    std::string text = "{";
    for (const long long id : ids)
        text += (text.size() == 1 ? "" : ",") + std::to_string(id);
    return text + "}";
}

std::int64_t microseconds_since(Clock::time_point since) {
    return std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - since).count();
}

} // namespace

const std::vector<std::string> &crash_point_names() {
    static const std::vector<std::string> names{"before-claim", "claimed", "mid-work", "before-complete",
                                                "completed"};
    return names;
}

WorkerLoop::WorkerLoop(const WorkerOrders &orders, WorkerEvents &events)
    : orders_(orders), events_(events),
      database_(orders.conninfo, fmt::format("worker {}", orders.run_id), kPatience) {}

void WorkerLoop::run() {
    while (!events_.stopping()) {
        try {
            events_.at(CrashPoint::before_claim);
            const Claim claimed = claim();
            if (claimed.jobs.empty()) {
                wait();
                continue;
            }
            events_.at(CrashPoint::claimed);
            work(claimed);
            events_.worked(claimed.jobs.size());
        } catch (const std::exception &error) {
            events_.met(error);
            if (!events_.stopping())
                std::this_thread::sleep_for(kPauseAfterError);
        }
    }
    events_.count("reconnects", database_.reconnects());
    events_.count("round_trips", static_cast<double>(database_.round_trips()));
}

WorkerLoop::Claim WorkerLoop::claim() {
    const std::string sql = fmt::format(
        "SELECT id, lock_token, attempts, (extract(epoch FROM locked_at - greatest(run_at, created_at)) * "
        "1000000)::bigint, "
        "tenant_id, concurrency_key, coalesce(round((payload ->> 'work_ms')::numeric), 0)::bigint "
        "FROM {}.claim_queued_jobs($1, $2::integer, $3::integer)",
        orders_.schema);
    const auto began = Clock::now();
    const db::Rows rows = database_.query(
        sql, {orders_.worker_id, std::to_string(orders_.batch), std::to_string(orders_.tenant_cap)});
    events_.time("claim_ms", microseconds_since(began));
    events_.count("claims", 1);
    events_.count("empty_claims", rows.empty() ? 1 : 0);
    Claim claim;
    for (const db::Row &row : rows) {
        const Milliseconds work = orders_.work.value_or(Milliseconds(std::stoll(row[6].value_or("0"))));
        claim.jobs.push_back({std::stoll(row[0].value_or("0")), std::stoll(row[2].value_or("0")),
                              row[4].value_or(""), row[5].value_or(""), work});
        claim.lock_token = row[1].value_or("");
        events_.hold(claim.jobs.back());
        // Of a job that comes again, locked_at - run_at may count the first claim as well.
        if (claim.jobs.back().attempts == 1)
            events_.time("pickup_ms", std::stoll(row[3].value_or("0")));
    }
    return claim;
}

/// Sleeps in the server until a commit brings jobs, or for a second.
void WorkerLoop::wait() {
    database_.query(fmt::format("CALL {}.wait_for_jobs(interval '1 second')", orders_.schema));
}

bool WorkerLoop::fails(const ClaimedJob &job) const {
    return orders_.fail > 0 && chance(orders_.seed, static_cast<std::uint64_t>(job.id),
                                      static_cast<std::uint64_t>(job.attempts)) < orders_.fail;
}

void WorkerLoop::work(const Claim &claim) {
    std::vector<ClaimedJob> done;
    std::size_t begun = 0;
    try {
        for (const ClaimedJob &job : claim.jobs) {
            events_.at(CrashPoint::mid_work);
            if (job.work.count() > 0)
                std::this_thread::sleep_for(job.work);
            events_.let_go(job);
            ++begun;
            if (fails(job))
                fail(job, claim);
            else
                done.push_back(job);
        }
        if (!done.empty())
            complete(claim, done);
    } catch (...) {
        std::for_each(claim.jobs.begin() + static_cast<std::ptrdiff_t>(begun), claim.jobs.end(),
                      [this](const ClaimedJob &job) { events_.let_go(job); });
        throw;
    }
}

void WorkerLoop::fail(const ClaimedJob &job, const Claim &claim) {
    database_.query(
        fmt::format("SELECT {}.fail_job($1::bigint, $2::bigint, 'planned failure')", orders_.schema),
        {std::to_string(job.id), claim.lock_token});
    events_.count("failed_attempts", 1);
}

/// A completion that got no answer was accepted or was not: the ledger allows both.
void WorkerLoop::complete(const Claim &claim, const std::vector<ClaimedJob> &jobs) {
    std::vector<long long> ids, accepted;
    for (const ClaimedJob &job : jobs)
        ids.push_back(job.id);
    events_.at(CrashPoint::before_complete);
    events_.completing(ids);
    const auto began = Clock::now();
    try {
        for (const db::Row &row :
             database_.query(fmt::format("SELECT {}.complete_jobs($1::bigint[], $2::bigint)", orders_.schema),
                             {ids_literal(ids), claim.lock_token}))
            accepted.push_back(std::stoll(row[0].value_or("0")));
    } catch (const db::DatabaseError &error) {
        if (error.connection_lost())
            events_.completion(ids, judge::Event::completion_unknown);
        else
            events_.completion({}, judge::Event::completed); // none of them was
        throw;
    }
    events_.at(CrashPoint::completed);
    events_.time("complete_ms", microseconds_since(began));
    events_.completion(accepted, judge::Event::completed);
    events_.count("stale_completions", static_cast<double>(ids.size() - accepted.size()));
}

} // namespace fairq::driver::actors
