// The reports of a tick (see tick_report.hpp).
#include "ticks/tick_report.hpp"

#include "pg/clock.hpp"
#include "pg/spi.hpp"

#include <numeric>

namespace fairq::ticks {

namespace {

// SQL is laid out by hand.
// clang-format off

// workers' claimed, completed, failed; tenants, their claimed; ms, load test?, running, running of earlier ticks,
// errors → details, the same without tenants. Takes over what late reports say.
const pg::Statement kAudit{pg::Plan::pinned, R"(
WITH log AS (SELECT nextval('@campaign_audit_log_id_seq') AS id),
     late AS (DELETE FROM @campaign_audit_log WHERE event_type = 'job_queue_tick_late' RETURNING details)
INSERT INTO @campaign_audit_log (id, event_type, details)
SELECT log.id, 'job_queue_tick', jsonb_build_object(
           'tick', log.id,
           'claimed', (SELECT coalesce(sum(n), 0) FROM unnest($5) AS n),
           'completed', (SELECT coalesce(sum(n), 0) FROM unnest($2) AS n),
           'failed', (SELECT coalesce(sum(n), 0) FROM unnest($3) AS n),
           'running', $8,
           'earlier', (SELECT jsonb_build_object('running', $9,
                                                 'completed', coalesce(sum((details ->> 'completed')::bigint), 0),
                                                 'failed', coalesce(sum((details ->> 'failed')::bigint), 0))
                         FROM late),
           'workers', (SELECT coalesce(jsonb_agg(jsonb_build_object('worker', w.n, 'claimed', w.claimed,
                                                                    'completed', w.completed, 'failed', w.failed)
                                                 ORDER BY w.n), '[]')
                         FROM unnest($1, $2, $3) WITH ORDINALITY AS w (claimed, completed, failed, n)),
           'tenants', (SELECT coalesce(jsonb_object_agg(t.tenant, t.claimed), '{}')
                         FROM unnest($4, $5) AS t (tenant, claimed)),
           'ms', $6,
           'load_test', $7,
           'errors', to_jsonb($10))
  FROM log
RETURNING details::text, (details - 'tenants')::text)",
    {INT8ARRAYOID, INT8ARRAYOID, INT8ARRAYOID, TEXTARRAYOID, INT8ARRAYOID, INT8OID, BOOLOID, INT8OID, INT8OID, TEXTARRAYOID}};
struct TickRow {
    enum Column { details = 1, details_without_tenants };
};

// completed, failed, load test?
const pg::Statement kLate{pg::Plan::pinned, R"(
INSERT INTO @campaign_audit_log (event_type, details)
VALUES ('job_queue_tick_late', jsonb_build_object('completed', $1, 'failed', $2, 'load_test', $3)))", {INT8OID, INT8OID, BOOLOID}};

// kind, names, claimed, completed, failed. In the order of names, so that two ticks do not deadlock.
const pg::Statement kAddTotals{pg::Plan::pinned, R"(
INSERT INTO @load_test_totals AS t (kind, name, claimed, completed, failed)
SELECT $1, u.name, u.claimed, u.completed, u.failed
  FROM unnest($2, $3, $4, $5) AS u (name, claimed, completed, failed)
 WHERE u.claimed + u.completed + u.failed > 0
 ORDER BY u.name COLLATE "C"
    ON CONFLICT (kind, name) DO UPDATE
   SET claimed = t.claimed + excluded.claimed, completed = t.completed + excluded.completed,
       failed = t.failed + excluded.failed)", {TEXTOID, TEXTARRAYOID, INT8ARRAYOID, INT8ARRAYOID, INT8ARRAYOID}};

// clang-format on

int64 sum(const queue::Ids &numbers) {
    return std::accumulate(numbers.begin(), numbers.end(), int64{0});
}

template <class Sums>
void add_totals(std::string_view kind, const std::vector<std::string_view> &names, const Sums &sums) {
    pg::execute_all(
        kAddTotals, "load_test_totals", static_cast<uint64>(sums.active()),
        {pg::of(kind), pg::of(names), pg::of(sums.claimed), pg::of(sums.completed), pg::of(sums.failed)});
}

std::vector<JobResult> results_of(TickSegment &tick) {
    std::vector<JobResult> results;
    for (uint32 i = 0; i < tick.jobs; ++i)
        results.push_back(tick.job[i].result_now());
    return results;
}

} // namespace

int64 TickReport::Sums::active() const {
    int64 count = 0;
    for (size_t i = 0; i < claimed.size(); ++i)
        count += claimed[i] + completed[i] + failed[i] > 0 ? 1 : 0;
    return count;
}

// A late report tells only of jobs whose handlers ran when the first one was written.
bool TickReport::tells(uint32 job, bool load_test_only) const {
    return (told_.empty() || told_[job] == JobResult::running) &&
           (!load_test_only || claim_.jobs[job].load_test);
}

void TickReport::add(Sums &to, size_t at, uint32 job) const {
    to.claimed[at] += told_.empty() ? 1 : 0;
    to.completed[at] += results_[job] == JobResult::completed ? 1 : 0;
    to.failed[at] += results_[job] == JobResult::failed ? 1 : 0;
}

TickReport::Sums TickReport::by_worker(bool load_test_only) const {
    Sums sums(static_cast<size_t>(tick_.request.workers));
    for (uint32 i = 0; i < tick_.jobs; ++i)
        if (tells(i, load_test_only) && tick_.job[i].worker > 0 && results_[i] != JobResult::taken_back)
            add(sums, tick_.job[i].worker - 1, i);
    return sums;
}

TickReport::Sums TickReport::by_tenant(bool load_test_only) const {
    Sums sums(claim_.lanes.size());
    for (uint32 i = 0; i < tick_.jobs; ++i)
        if (tells(i, load_test_only))
            add(sums, static_cast<size_t>(claim_.jobs[i].lane), i);
    return sums;
}

bool TickReport::is_load_test() const {
    return !claim_.jobs.empty() &&
           std::all_of(claim_.jobs.begin(), claim_.jobs.end(), [](auto &job) { return job.load_test; });
}

// What the load test's workers and tenants did, summed over all ticks.
void TickReport::add_load_test_totals() const {
    if (std::none_of(claim_.jobs.begin(), claim_.jobs.end(), [](auto &job) { return job.load_test; }))
        return;
    std::vector<std::string> workers;
    for (int i = 1; i <= tick_.request.workers; ++i)
        workers.push_back("worker " + std::to_string(i));
    add_totals("worker", {workers.begin(), workers.end()}, by_worker(true));
    add_totals("tenant", {claim_.lanes.begin(), claim_.lanes.end()}, by_tenant(true));
}

// Returns the row's details, as much as the segment has room for.
std::string TickReport::write_row(int64 ms, int earlier_handlers,
                                  const std::vector<std::string> &errors) const {
    Sums const workers = by_worker(false), tenants = by_tenant(false);
    std::vector<std::string_view> served;
    queue::Ids served_jobs;
    for (size_t i = 0; i < claim_.lanes.size(); ++i)
        if (tenants.claimed[i] > 0) {
            served.push_back(claim_.lanes[i]);
            served_jobs.push_back(tenants.claimed[i]);
        }
    auto const running = std::count(results_.begin(), results_.end(), JobResult::running);
    pg::Rows const row =
        pg::execute(kAudit, {pg::of(workers.claimed), pg::of(workers.completed), pg::of(workers.failed),
                             pg::of(served), pg::of(served_jobs), pg::of(ms), pg::of(is_load_test()),
                             pg::of(int64{running}), pg::of(int64{earlier_handlers}),
                             pg::of(std::vector<std::string_view>(errors.begin(), errors.end()))});
    if (row.empty())
        pg::raise_row_swallowed("campaign_audit_log");
    std::string details = row.text_at(0, TickRow::details);
    return details.size() < tick_.summary_size ? details : row.text_at(0, TickRow::details_without_tenants);
}

void TickReport::write(int64 started, int earlier_handlers, const std::vector<std::string> &errors) {
    results_ = results_of(tick_);
    pg::with_spi([&] {
        add_load_test_totals();
        std::string const summary =
            write_row((pg::monotonic_now() - started) / 1000, earlier_handlers, errors);
        strlcpy(tick_.summary(), summary.c_str(), tick_.summary_size);
    });
}

void TickReport::write_late() {
    told_ = std::move(results_);
    results_ = results_of(tick_);
    if (!told_.empty() && std::count(told_.begin(), told_.end(), JobResult::running) == 0)
        return;
    pg::with_spi([&] {
        add_load_test_totals();
        Sums const workers = by_worker(false);
        pg::execute_all(
            kLate, "campaign_audit_log", 1,
            {pg::of(sum(workers.completed)), pg::of(sum(workers.failed)), pg::of(is_load_test())});
    });
}

} // namespace fairq::ticks
