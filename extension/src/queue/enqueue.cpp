// Enqueue: one job or many, idempotent per tenant. A job's id is also its first position in its tenant's
// lane, so order of enqueue costs no second sequence.
#include "queue/limits.hpp"
#include "queue/wait.hpp"
#include "tables/live_insert.hpp"
#include "tables/open_relation.hpp"

namespace fairq::queue {

namespace {

// SQL is laid out by hand.
// clang-format off

// id, tenant, type, status, priority, payload, run_at, max_attempts, timeout, key, now, concurrency key, run, stage, queue
const pg::Statement kInsertJob{pg::Plan::pinned, R"(
INSERT INTO @job_live (id, tenant_id, job_type, status, priority, payload, run_at, max_attempts, timeout,
                       idempotency_key, created_at, updated_at, position, due_at, concurrency_key, run_id, stage, queue)
VALUES ($1, $2, $3, $4::@job_status, $5::smallint, $6, $7, $8, $9, $10, $11, $11,
        CASE WHEN $4 = 'queued' THEN $1 END, CASE WHEN $4 = 'scheduled' THEN $7 END, $12, $13, $14, $15))", {INT8OID, TEXTOID, TEXTOID, TEXTOID, INT4OID, JSONBOID, TIMESTAMPTZOID, INT4OID, INTERVALOID, TEXTOID,
         TIMESTAMPTZOID, TEXTOID, INT8OID, INT4OID, TEXTOID}};

// ids, kept ids (a job whose key was known keeps the other id and is not inserted), tenants, payloads or NULL, keys or
// NULL, concurrency keys or NULL, then as above
const pg::Statement kInsertJobs{pg::Plan::pinned, R"(
INSERT INTO @job_live (id, tenant_id, job_type, status, priority, payload, run_at, max_attempts, timeout,
                       idempotency_key, created_at, updated_at, position, due_at, concurrency_key, run_id, stage, queue)
SELECT i.id, i.tenant, $7, $8::@job_status, $9::smallint, coalesce(i.payload, '{}'), $10, $11, $12, i.key, $13, $13,
       CASE WHEN $8 = 'queued' THEN i.id END, CASE WHEN $8 = 'scheduled' THEN $10 END, i.concurrency_key, $14, $15, $16
  FROM unnest($1, $2, $3, $4, $5, $6) AS i (id, kept, tenant, payload, key, concurrency_key)
 WHERE i.id = i.kept)", {INT8ARRAYOID, INT8ARRAYOID, TEXTARRAYOID, JSONBARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTOID, TEXTOID, INT4OID,
         TIMESTAMPTZOID, INT4OID, INTERVALOID, TIMESTAMPTZOID, INT8OID, INT4OID, TEXTOID}};

// tenants, keys, ids. In key order, so that two callers with the same keys do not deadlock.
const pg::Statement kInsertKeys{pg::Plan::pinned, R"(
INSERT INTO @job_keys (tenant_id, idempotency_key, job_id)
SELECT i.tenant, i.key, i.id FROM unnest($1, $2, $3) AS i (tenant, key, id) WHERE i.key IS NOT NULL
 ORDER BY i.tenant COLLATE "C", i.key COLLATE "C", i.id
    ON CONFLICT DO NOTHING)", {TEXTARRAYOID, TEXTARRAYOID, INT8ARRAYOID}};

// tenants, keys → the job of each, in their order; NULL where there is no key
const pg::Statement kFindKeys{pg::Plan::pinned, R"(
SELECT k.job_id
  FROM unnest($1, $2) WITH ORDINALITY AS i (tenant, key, n)
  LEFT JOIN @job_keys k ON k.tenant_id = i.tenant AND k.idempotency_key = i.key
 ORDER BY i.n)", {TEXTARRAYOID, TEXTARRAYOID}};

// tenants, keys, ids, kept ids: takes back the keys of the jobs that were refused
const pg::Statement kDropKeys{pg::Plan::pinned, R"(
DELETE FROM @job_keys k
 USING unnest($1, $2, $3, $4) AS i (tenant, key, id, kept)
 WHERE i.kept = 0 AND k.tenant_id = i.tenant AND k.idempotency_key = i.key AND k.job_id = i.id)", {TEXTARRAYOID, TEXTARRAYOID, INT8ARRAYOID, INT8ARRAYOID}};

// clang-format on

constexpr std::string_view kLoadTest = "load_test";

Ids new_ids(size_t count) {
    Oid const sequence = tables::lock_relation(pg::schema(), "job_live_id_seq", RowExclusiveLock);
    Ids ids(count);
    for (int64 &id : ids) {
        pg::check_interrupts();
        id = pg::call([&] { return nextval_internal(sequence, false); });
    }
    return ids;
}

// The time at which the jobs of a call are created, and their first status.
struct Moment {
    TimestampTz now, run_at;
    JobStatus status;
    explicit Moment(const NewJobs &common)
        : now(pg::now()), run_at(common.run_at.value_or(now)),
          status(run_at > now ? JobStatus::scheduled : JobStatus::queued) {}
};

void count_new(const NewJobs &common, JobStatus status, int64 jobs) {
    count_move(std::nullopt, status, jobs, common.job_type == kLoadTest ? jobs : 0);
}

core::LaneKey place_of(const NewJobs &common, int64 id) {
    return core::lane_key(static_cast<int16>(common.priority), id);
}

// The ids of the new jobs. A job whose key was known has the id of the earlier job instead of the one that was meant
// for it.
void fill_lanes(const NewJobs &common, const pg::Value &tenants, const Ids &ids, const Ids &kept) {
    std::vector<std::string_view> const all = pg::texts_of(tenants.datum);
    std::vector<Placed> jobs;
    jobs.reserve(all.size());
    for (size_t i = 0; i < all.size(); ++i)
        if (kept[i] == ids[i])
            jobs.push_back({{common.queue, all[i]}, place_of(common, ids[i])});
    lanes_gained(std::move(jobs));
}

// Takes the keys for these ids; returns for each element the id of the job that has its key (its own id if it has no
// key). A key that another session had taken may be deleted between the failed insertion and the search: then the
// insertion is tried again, or the job would not have its key.
Ids take_keys(const BulkArrays &arrays, const Ids &ids) {
    tables::Elements const keys(arrays.keys, TEXTOID);
    return pg::until_it_holds("job_keys", [&]() -> std::optional<Ids> {
        pg::execute(kInsertKeys, {arrays.tenants, arrays.keys, pg::of(ids)});
        pg::Rows const found = pg::execute(kFindKeys, {arrays.tenants, arrays.keys});
        Ids kept = ids;
        for (size_t i = 0; i < kept.size(); ++i) {
            if (!found.is_null(i, pg::kOnlyColumn))
                kept[i] = found.int64_at(i, pg::kOnlyColumn);
            else if (!keys[i].null)
                return std::nullopt;
        }
        return kept;
    });
}

// The first status of a new job, in a run or outside of one. It is not asked for a job whose key is known: a
// producer that tries again gets the job's id, even when the run has passed the stage.
JobStatus status_of(const NewJobs &common, const Moment &moment, const pg::Value &tenants) {
    return common.run_id ? status_in_run(*common.run_id, *common.stage, tenants, moment.status)
                         : moment.status;
}

// Whether none of these jobs is new.
bool all_known(const Ids &ids, const Ids &kept) {
    return std::mismatch(ids.begin(), ids.end(), kept.begin(), std::not_equal_to<>()).first == ids.end();
}

// Deletes the keys that new jobs have taken, when these jobs are refused after all.
void drop_keys(const BulkArrays &arrays, const Ids &ids, const Ids &kept, const Ids &struck) {
    tables::Elements const keys(arrays.keys, TEXTOID);
    uint64 taken = 0;
    for (size_t i = 0; i < ids.size(); ++i)
        taken += !keys[i].null && std::binary_search(struck.begin(), struck.end(), ids[i]) ? 1 : 0;
    pg::execute_all(kDropKeys, "job_keys", taken, {arrays.tenants, arrays.keys, pg::of(ids), pg::of(kept)});
}

// Asks the limits for places for the new jobs. For a job that does not fit, and for other elements with its key, `kept`
// becomes 0.
void strike_refused(const BulkArrays &arrays, const Ids &ids, Ids &kept, bool partial) {
    std::vector<std::string_view> const tenants = pg::texts_of(arrays.tenants.datum);
    std::vector<std::string_view> asking;
    std::vector<size_t> places;
    for (size_t i = 0; i < ids.size(); ++i) {
        if (kept[i] == ids[i]) {
            asking.push_back(tenants[i]);
            places.push_back(i);
        }
    }
    Ids struck;
    for (size_t const refused : admit(asking, partial ? Call::partial : Call::bulk))
        struck.push_back(ids[places[refused]]);
    if (struck.empty())
        return;
    for (int64 &id : kept)
        if (std::binary_search(struck.begin(), struck.end(), id))
            id = 0;
    if (!arrays.keys.null)
        drop_keys(arrays, ids, kept, struck);
}

tables::NewRows rows_of(const NewJobs &common, const Moment &moment, JobStatus status) {
    return {common.queue,
            common.job_type,
            core::name_of(status),
            common.priority,
            common.max_attempts,
            pg::interval_of(common.timeout),
            moment.now,
            moment.run_at,
            status == JobStatus::queued,
            status == JobStatus::scheduled,
            common.run_id,
            common.stage};
}

// Writes the rows that each() adds into job_live below SQL. False: nothing was written, the executor has to do it.
template <class Each>
bool insert_directly(const tables::NewRows &rows, Each &&each) {
    tables::LiveInsert live(pg::schema(), rows);
    if (live.possible()) {
        each(live);
        live.finish();
    }
    live.close();
    return live.possible();
}

void insert(const NewJob &job, int64 id, tables::NewRows rows) {
    bool const inserted = insert_directly(rows, [&](tables::LiveInsert &live) {
        live.add({id, pg::of(job.tenant), pg::of_datum(job.payload), pg::of(job.key),
                  pg::of(job.concurrency_key)});
    });
    if (!inserted)
        pg::execute_all(kInsertJob, "job_live", 1,
                        {pg::of(id), pg::of(job.tenant), pg::of(rows.type),
                         pg::of(std::string_view(rows.status)), pg::of(rows.priority),
                         pg::of_datum(job.payload), pg::of_time(rows.run_at), pg::of(rows.max_attempts),
                         pg::of_datum(IntervalPGetDatum(&rows.timeout)), pg::of(job.key),
                         pg::of_time(rows.now), pg::of(job.concurrency_key), pg::of(rows.run),
                         pg::of(rows.stage), pg::of(rows.queue)});
}

// Inserts the new jobs, which have kept the ids that were meant for them; returns how many there are.
int64 insert_all(const BulkArrays &arrays, const Ids &ids, const Ids &kept, tables::NewRows rows) {
    int64 jobs = 0;
    for (size_t i = 0; i < ids.size(); ++i)
        jobs += kept[i] == ids[i] ? 1 : 0;
    bool const inserted = insert_directly(rows, [&](tables::LiveInsert &live) {
        tables::Elements const tenants(arrays.tenants, TEXTOID), payloads(arrays.payloads, JSONBOID),
            keys(arrays.keys, TEXTOID), concurrency_keys(arrays.concurrency_keys, TEXTOID);
        for (size_t i = 0; i < ids.size(); ++i) {
            pg::check_interrupts();
            if (kept[i] == ids[i])
                live.add({ids[i], tenants[i], payloads[i], keys[i], concurrency_keys[i]});
        }
    });
    if (inserted)
        return jobs;
    pg::execute_all(kInsertJobs, "job_live", static_cast<uint64>(jobs),
                    {pg::of(ids), pg::of(kept), arrays.tenants, arrays.payloads, arrays.keys,
                     arrays.concurrency_keys, pg::of(rows.type), pg::of(std::string_view(rows.status)),
                     pg::of(rows.priority), pg::of_time(rows.run_at), pg::of(rows.max_attempts),
                     pg::of_datum(IntervalPGetDatum(&rows.timeout)), pg::of_time(rows.now), pg::of(rows.run),
                     pg::of(rows.stage), pg::of(rows.queue)});
    return jobs;
}

} // namespace

int64 enqueue(const NewJobs &common, const NewJob &job) {
    Moment const moment(common);
    return pg::with_spi([&] {
        int64 const id = new_ids(1).front();
        if (job.key) {
            std::vector<std::string_view> const tenants{job.tenant}, keys{*job.key};
            int64 const kept = take_keys({1, pg::of(tenants), {}, pg::of(keys), {}}, {id}).front();
            if (kept != id)
                return kept;
        }
        std::vector<std::string_view> const tenants{job.tenant};
        JobStatus const status = status_of(common, moment, pg::of(tenants));
        admit({job.tenant}, Call::single);
        insert(job, id, rows_of(common, moment, status));
        count_new(common, status, 1);
        if (status == JobStatus::queued)
            lane_gained({common.queue, job.tenant}, 1, core::range_of(place_of(common, id)));
        if (status == JobStatus::scheduled)
            job_due(moment.run_at);
        return id;
    });
}

Ids enqueue_all(const NewJobs &common, const BulkArrays &arrays, bool partial) {
    if (arrays.count == 0)
        return {};
    Moment const moment(common);
    return pg::with_spi([&] {
        Ids const ids = new_ids(arrays.count);
        Ids kept = arrays.keys.null ? ids : take_keys(arrays, ids);
        if (all_known(ids, kept))
            return kept;
        if (limits_are_used())
            strike_refused(arrays, ids, kept, partial);
        JobStatus const status = status_of(common, moment, arrays.tenants);
        count_new(common, status, insert_all(arrays, ids, kept, rows_of(common, moment, status)));
        if (status == JobStatus::queued)
            fill_lanes(common, arrays.tenants, ids, kept);
        if (status == JobStatus::scheduled)
            job_due(moment.run_at);
        return kept;
    });
}

} // namespace fairq::queue
