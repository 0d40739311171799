// external_workers.cpp: see external_workers.hpp.
#include "actors/external_workers.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "interrupt.hpp"

namespace fairq::driver::actors {
namespace {

using Clock = std::chrono::steady_clock;

constexpr Milliseconds kPatience{30'000}; ///< of a statement
constexpr Milliseconds kPauseAfterError{100};
constexpr std::size_t kKeptNotes = 5;

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

} // namespace

ExternalWorkers::ExternalWorkers(const plan::ExternalWorkersActor &actor, const Stage &stage)
    : actor_(actor), stage_(stage), jobs_(static_cast<std::size_t>(actor.workers)) {
    figures_.actor = actor.name;
    for (const char *counter : {"claims", "empty_claims", "failed_attempts", "stale_completions",
                                "worker_errors", "keyed_jobs", "key_overlaps", "reconnects"})
        figures_.numbers[counter] = 0;
    for (int number = 0; number < actor.workers; ++number)
        threads_.emplace_back([this, number] { loop(number); });
}

ExternalWorkers::~ExternalWorkers() {
    stopping_ = true;
    for (std::thread &thread : threads_)
        if (thread.joinable())
            thread.join();
}

void ExternalWorkers::note(const std::string &text) {
    const std::lock_guard<std::mutex> lock(mutex_);
    auto &notes = figures_.notes;
    if (notes.size() < kKeptNotes && std::find(notes.begin(), notes.end(), text) == notes.end())
        notes.push_back(text);
}

void ExternalWorkers::met(const std::exception &error) {
    count("worker_errors", 1);
    note(error.what());
    if (const auto *sql = dynamic_cast<const db::DatabaseError *>(&error)) {
        const std::lock_guard<std::mutex> lock(mutex_);
        figures_.count_error(*sql);
    }
    if (!stopping_)
        std::this_thread::sleep_for(kPauseAfterError);
}

void ExternalWorkers::count(const std::string &metric, double more) {
    const std::lock_guard<std::mutex> lock(mutex_);
    figures_.numbers[metric] += more;
}

void ExternalWorkers::time(const std::string &metric, Clock::time_point since) {
    const auto passed = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - since).count();
    const std::lock_guard<std::mutex> lock(mutex_);
    figures_.record(metric, passed);
}

void ExternalWorkers::loop(int number) {
    const std::string worker_id = fmt::format("{}-{}-{}", stage_.run_id, actor_.name, number + 1);
    db::Database database(stage_.conninfo, fmt::format("worker {}", stage_.run_id), kPatience);
    while (!stopping_) {
        try {
            const Claim claimed = claim(database, worker_id);
            if (claimed.jobs.empty()) {
                wait(database);
                continue;
            }
            work(database, claimed);
            const std::lock_guard<std::mutex> lock(mutex_);
            jobs_[static_cast<std::size_t>(number)] += static_cast<long long>(claimed.jobs.size());
        } catch (const std::exception
                     &error) { // a worker that meets an error comes again; its jobs come back with the lease
            met(error);
        }
    }
    count("reconnects", database.reconnects());
    count("round_trips", static_cast<double>(database.round_trips()));
}

ExternalWorkers::Claim ExternalWorkers::claim(db::Database &database, const std::string &worker_id) {
    const std::string sql = fmt::format(
        "SELECT id, lock_token, attempts, (extract(epoch FROM locked_at - greatest(run_at, created_at)) * "
        "1000000)::bigint, "
        "tenant_id, concurrency_key, coalesce(round((payload ->> 'work_ms')::numeric), 0)::bigint "
        "FROM {}.claim_queued_jobs($1, $2::integer, $3::integer)",
        stage_.schema);
    const auto began = Clock::now();
    const db::Rows rows =
        database.query(sql, {worker_id, std::to_string(actor_.batch), std::to_string(actor_.tenant_cap)});
    time("claim_ms", began);
    Claim claim;
    for (const db::Row &row : rows) {
        const Milliseconds work = actor_.work.value_or(Milliseconds(std::stoll(row[6].value_or("0"))));
        claim.jobs.push_back({std::stoll(row[0].value_or("0")), std::stoll(row[2].value_or("0")),
                              row[4].value_or(""), row[5].value_or(""), work});
        claim.lock_token = row[1].value_or("");
        hold(claim.jobs.back());
    }
    const std::lock_guard<std::mutex> lock(mutex_);
    figures_.numbers["claims"] += 1;
    figures_.numbers["empty_claims"] += rows.empty() ? 1 : 0;
    for (const db::Row &row : rows)
        if (row[2] ==
            db::Cell("1")) // of a job that comes again, locked_at - run_at may count the first claim as well
            figures_.record("pickup_ms", std::stoll(row[3].value_or("0")));
    return claim;
}

/// From when its claim is back until just before its end is sent, a job runs for certain: whoever runs beside
/// it then broke the rule, if there is one.
void ExternalWorkers::hold(const Claimed &job) {
    const std::lock_guard<std::mutex> lock(mutex_);
    double &most = figures_.numbers["tenant_running_max"];
    most = std::max(most, static_cast<double>(++held_[job.tenant]));
    if (job.key.empty())
        return;
    figures_.numbers["keyed_jobs"] += 1;
    figures_.numbers["key_overlaps"] += ++held_[job.tenant + '\n' + job.key] > 1 ? 1 : 0;
}

void ExternalWorkers::let_go(const Claimed &job) {
    const std::lock_guard<std::mutex> lock(mutex_);
    --held_[job.tenant];
    if (!job.key.empty())
        --held_[job.tenant + '\n' + job.key];
}

/// Sleeps in the server until a commit brings jobs, or for a second.
void ExternalWorkers::wait(db::Database &database) const {
    database.query(fmt::format("CALL {}.wait_for_jobs(interval '1 second')", stage_.schema));
}

bool ExternalWorkers::fails(const Claimed &job) const {
    return actor_.fail > 0 && chance(stage_.seed, static_cast<std::uint64_t>(job.id),
                                     static_cast<std::uint64_t>(job.attempts)) < actor_.fail;
}

void ExternalWorkers::work(db::Database &database, const Claim &claim) {
    std::vector<Claimed> done;
    std::size_t begun = 0;
    try {
        for (const Claimed &job : claim.jobs) {
            if (job.work.count() > 0)
                std::this_thread::sleep_for(job.work);
            let_go(job);
            ++begun;
            if (!fails(job)) {
                done.push_back(job);
                continue;
            }
            database.query(
                fmt::format("SELECT {}.fail_job($1::bigint, $2::bigint, 'planned failure')", stage_.schema),
                {std::to_string(job.id), claim.lock_token});
            count("failed_attempts", 1);
        }
        if (!done.empty())
            complete(database, claim, done);
    } catch (...) {
        std::for_each(claim.jobs.begin() + static_cast<std::ptrdiff_t>(begun), claim.jobs.end(),
                      [this](const Claimed &job) { let_go(job); });
        throw;
    }
}

void ExternalWorkers::write_down(const std::vector<long long> &ids, judge::Event event) {
    std::vector<judge::JournalEntry> entries;
    for (const long long id : ids)
        entries.push_back({id, 0, 0, event});
    stage_.journal.append(entries);
}

/// A completion that got no answer was accepted or was not: the ledger allows both.
void ExternalWorkers::complete(db::Database &database, const Claim &claim, const std::vector<Claimed> &jobs) {
    std::vector<long long> ids, accepted;
    for (const Claimed &job : jobs)
        ids.push_back(job.id);
    const auto began = Clock::now();
    try {
        for (const db::Row &row :
             database.query(fmt::format("SELECT {}.complete_jobs($1::bigint[], $2::bigint)", stage_.schema),
                            {ids_literal(ids), claim.lock_token}))
            accepted.push_back(std::stoll(row[0].value_or("0")));
    } catch (const db::DatabaseError &error) {
        if (error.connection_lost())
            write_down(ids, judge::Event::completion_unknown);
        throw;
    }
    time("complete_ms", began);
    write_down(accepted, judge::Event::completed);
    count("stale_completions", static_cast<double>(ids.size() - accepted.size()));
}

Figures ExternalWorkers::stop() {
    stopping_ = true;
    for (std::thread &thread : threads_)
        thread.join();
    const auto [least, most] = std::minmax_element(jobs_.begin(), jobs_.end());
    if (*most > 0 && jobs_.size() > 1)
        figures_.numbers["worker_share"] = *least == 0
                                               ? static_cast<double>(*most)
                                               : static_cast<double>(*most) / static_cast<double>(*least);
    return std::move(figures_);
}

} // namespace fairq::driver::actors
