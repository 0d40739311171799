// counted_load.cpp: see counted_load.hpp.
#include "counted_load.hpp"

#include <algorithm>
#include <exception>
#include <stdexcept>
#include <thread>

#include <fmt/format.h>

namespace fairq::test {

using namespace fairq::driver;

namespace {

constexpr Milliseconds kPatience{60'000};
constexpr Milliseconds kNothingToDo{1};
constexpr const char *kNow = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint";

} // namespace

std::vector<std::int64_t> CountedLoad::enqueue(Database &database, const std::vector<std::string> &tenants,
                                               const std::string &type, const std::string &options) {
    std::vector<std::int64_t> ids;
    for (const Row &row :
         database.query("SELECT enqueue_jobs($1, $2" + options + ")", {array_literal(tenants), type}))
        ids.push_back(std::stoll(row[0].value()));
    const std::int64_t at =
        number(database, "SELECT " + std::string(kNow)); // from now on they can be claimed
    const std::lock_guard<std::mutex> lock(mutex_);
    for (const std::int64_t id : ids)
        enqueued_[id] = at;
    return ids;
}

void CountedLoad::run(const Workers &workers) {
    std::vector<std::thread> threads;
    for (int i = 0; i < workers.sessions; ++i)
        threads.emplace_back([&] {
            try {
                work(workers);
            } catch (const std::exception &error) {
                failed_ = true;
                const std::lock_guard<std::mutex> lock(mutex_);
                errors_.emplace_back(error.what());
            }
        });
    for (std::thread &thread : threads)
        thread.join();
    if (!errors_.empty())
        throw std::runtime_error(errors_.front());
    std::sort(seen_.begin(), seen_.end(), [](auto &a, auto &b) { return a.at < b.at; });
    std::sort(claims_.begin(), claims_.end());
}

void CountedLoad::work(const Workers &workers) {
    Database database(conninfo_, "load");
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (!failed_ && !workers.done()) {
        if (std::chrono::steady_clock::now() > deadline)
            throw std::runtime_error(
                fmt::format("not done in time: {} jobs claimed, {} completed", jobs(), completed()));
        if (!claim_once(database, workers))
            std::this_thread::sleep_for(kNothingToDo);
    }
}

bool CountedLoad::claim_once(Database &database, const Workers &workers) {
    std::string lock_token;
    std::vector<SeenJob> jobs = claim(database, workers.max_jobs, lock_token);
    std::vector<std::int64_t> ids;
    for (SeenJob &job : jobs) {
        if (workers.work)
            workers.work(database, job);
        ids.push_back(job.id);
    }
    for (SeenJob &job : jobs)
        job.completing = ticks_;
    const bool finish = workers.complete && !ids.empty();
    const std::vector<std::int64_t> accepted =
        finish ? complete(database, ids, lock_token) : std::vector<std::int64_t>{};
    completed_ += static_cast<std::int64_t>(accepted.size());
    const std::lock_guard<std::mutex> lock(mutex_);
    seen_.insert(seen_.end(), jobs.begin(), jobs.end());
    accepted_.insert(accepted_.end(), accepted.begin(), accepted.end());
    return !jobs.empty();
}

std::vector<SeenJob> CountedLoad::claim(Database &database, int max_jobs, std::string &lock_token) {
    const Rows rows =
        database.query(fmt::format("SELECT began.at, c.id, c.tenant_id, c.job_type, c.lock_token FROM "
                                   "(SELECT {} AS at OFFSET 0) AS began "
                                   "LEFT JOIN LATERAL claim_queued_jobs('load', $1, 1000000) AS c ON true",
                                   kNow),
                       {std::to_string(max_jobs)});
    const std::int64_t tick = ++ticks_, at = std::stoll(rows.at(0)[0].value());
    std::vector<SeenJob> jobs;
    for (const Row &row : rows)
        if (row[1]) {
            jobs.push_back({std::stoll(row[1].value()), row[2].value(), row[3].value(), at, tick, 0});
            lock_token = row[4].value();
        }
    jobs_ += static_cast<std::int64_t>(jobs.size());
    const std::lock_guard<std::mutex> lock(mutex_);
    claims_.push_back(at);
    return jobs;
}

Replies CountedLoad::replies() const {
    Replies replies;
    for (const auto &[id, moment] : enqueued_)
        replies.enqueued.push_back(id);
    replies.completed = accepted_;
    return replies;
}

std::map<std::string, std::int64_t> CountedLoad::claimed(std::int64_t from, std::int64_t to) const {
    std::map<std::string, std::int64_t> jobs;
    for (auto i = static_cast<std::size_t>(from); i < std::min(static_cast<std::size_t>(to), seen_.size());
         ++i)
        ++jobs[seen_[i].tenant];
    return jobs;
}

Waits CountedLoad::waits_in_claims(const std::string &type) const {
    const auto claims_before = [this](std::int64_t at) {
        return std::lower_bound(claims_.begin(), claims_.end(), at) - claims_.begin();
    };
    Waits waits;
    for (const SeenJob &job : seen_)
        if (job.type == type) // some are claimed before we know that they were enqueued
            waits[job.tenant].push_back(
                std::max<std::int64_t>(0, claims_before(job.at) - claims_before(enqueued_.at(job.id))));
    return waits;
}

Waits CountedLoad::waits_in_microseconds(const std::string &type) const {
    Waits waits;
    for (const SeenJob &job : seen_)
        if (job.type == type)
            waits[job.tenant].push_back(std::max<std::int64_t>(0, job.at - enqueued_.at(job.id)));
    return waits;
}

} // namespace fairq::test
