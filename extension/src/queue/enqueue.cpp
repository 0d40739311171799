// Enqueue: one job or many, idempotent per tenant. A job's id is also its first position in its tenant's
// lane, so order of enqueue costs no second sequence.
#include "queue/queue.hpp"
#include "queue/statements.hpp"

namespace fairq::queue {

namespace {

constexpr std::string_view kLoadTest = "load_test";

Ids new_ids(size_t count) {
    Oid const sequence = pg::call([] { return get_relname_relid("job_live_id_seq", pg::schema()); });
    Ids ids(count);
    for (int64 &id : ids) {
        pg::check_interrupts();
        id = pg::call([&] { return nextval_internal(sequence, false); });
    }
    return ids;
}

// When the jobs of a call come to be, and as what.
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

// Of the jobs that are new: a job whose key was known has kept another id than the one that was meant for it.
void fill_lanes(const pg::Value &tenants, const Ids &ids, const Ids &kept) {
    std::vector<std::string> all = pg::texts_of(tenants.datum), filled;
    for (size_t i = 0; i < all.size(); ++i)
        if (kept[i] == ids[i])
            filled.push_back(std::move(all[i]));
    lanes_gained(std::move(filled));
}

// Takes the keys for these ids; returns for each element the job that has its key (its own id where it has
// none).
Ids take_keys(const BulkArrays &arrays, const Ids &ids) {
    pg::execute(sql::kInsertKeys, {arrays.tenants, arrays.keys, pg::of(ids)});
    pg::Rows const found = pg::execute(sql::kFindKeys, {arrays.tenants, arrays.keys});
    Ids kept = ids;
    for (size_t i = 0; i < kept.size(); ++i)
        if (!found.is_null(i, 1))
            kept[i] = found.int64_at(i, 1);
    return kept;
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
        Interval timeout = common.timeout;
        pg::execute(sql::kInsertJob,
                    {pg::of(id), pg::of(job.tenant), pg::of(common.job_type),
                     pg::of(std::string_view(core::name_of(moment.status))), pg::of(common.priority),
                     pg::of_datum(job.payload), pg::of_time(moment.run_at), pg::of(common.max_attempts),
                     pg::of_datum(IntervalPGetDatum(&timeout)), pg::of(job.key), pg::of_time(moment.now),
                     pg::of(job.concurrency_key), pg::of(common.run_id), pg::of(common.stage)});
        count_new(common, moment.status, 1);
        if (moment.status == JobStatus::queued)
            lane_gained(job.tenant, 1);
        return id;
    });
}

Ids enqueue_all(const NewJobs &common, const BulkArrays &arrays) {
    if (arrays.count == 0)
        return {};
    Moment const moment(common);
    return pg::with_spi([&] {
        Ids const ids = new_ids(arrays.count);
        Ids const kept = arrays.keys.null ? ids : take_keys(arrays, ids);
        Interval timeout = common.timeout;
        pg::execute(sql::kInsertJobs, {pg::of(ids), pg::of(kept), arrays.tenants, arrays.payloads,
                                       arrays.keys, arrays.concurrency_keys, pg::of(common.job_type),
                                       pg::of(std::string_view(core::name_of(moment.status))),
                                       pg::of(common.priority), pg::of_time(moment.run_at),
                                       pg::of(common.max_attempts), pg::of_datum(IntervalPGetDatum(&timeout)),
                                       pg::of_time(moment.now), pg::of(common.run_id), pg::of(common.stage)});
        count_new(common, moment.status, static_cast<int64>(SPI_processed));
        if (moment.status == JobStatus::queued)
            fill_lanes(arrays.tenants, ids, kept);
        return kept;
    });
}

} // namespace fairq::queue
