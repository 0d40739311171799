// Which waiters a transaction wakes when it ends (see waiters.hpp).
#include "pg/transaction_end.hpp"
#include "shared/ring/ring.hpp"
#include "shared/waiters/memory.hpp"
#include "shared/waiters/waiters.hpp"

#include <map>
#include <set>
#include <unordered_map>

namespace fairq::shared::waiters {

namespace {

using Jobs = std::unordered_map<uint64, int64>; // numbers of jobs, by the hash of their tenant

// Numbers of jobs by the hash of their queue. Plain data: it grows when a transaction has ended, where nothing may raise.
struct QueueJobs {
    static constexpr int kMost = 64;
    int count;
    bool many; // there was no room: each queue may have jobs
    struct {
        uint64 queue;
        int64 jobs;
    } of[kMost];

    void add(uint64 queue, int64 jobs) {
        for (int i = 0; i < count; ++i)
            if (of[i].queue == queue) {
                of[i].jobs += jobs;
                return;
            }
        many = many || count == kMost;
        if (!many)
            of[count++] = {queue, jobs};
    }
    // Whether one of the waiter's queues has a job; takes it.
    bool take_for(const Slot &waiter) {
        for (int i = 0; i < count; ++i)
            if (of[i].jobs > 0 && waiter.takes_of(of[i].queue)) {
                --of[i].jobs;
                return true;
            }
        return many;
    }
    bool has_for(const Slot &waiter) const {
        return many || std::any_of(of, of + count, [&](auto &queue) {
                   return queue.jobs > 0 && waiter.takes_of(queue.queue);
               });
    }
};

// How often a tenant opens: for all its queues, and for all but the one that a claim of this transaction has seen since.
struct Openings {
    int64 times = 0, elsewhere = 0;
};

struct Pending {
    Jobs at_commit;
    QueueJobs queues = {}; // the same jobs, by queue
    QueueJobs at_abort = {};
    // Tenants that may be served again; all are in at_commit.
    std::map<std::string, Openings, std::less<>> opened;
    uint64 seen_queue = 0;    // see Openings
    bool brings_jobs = false; // counts as news in any case
    // Tenants that this transaction has locked; all are in the maps above.
    std::set<std::string, std::less<>> held;
    uint64 news_when_held = 0; // the news when the claim began that got the first of them
    bool wakes_all = false;
    TimestampTz due_at = DT_NOEND;
    QueueJobs opens_at = {}; // times instead of numbers; when there are more, `others_open_at` has the first
    int64 others_open_at = DT_NOEND;

    void clear() {
        pg::clear_and_shrink(at_commit);
        queues.count = at_abort.count = opens_at.count = 0;
        queues.many = at_abort.many = opens_at.many = false;
        opened.clear();
        brings_jobs = false;
        held.clear();
        wakes_all = false;
        due_at = others_open_at = DT_NOEND;
    }
};
pg::PendingChanges<Pending> pending;

enum class Ended { nothing, commit, abort, savepoint };
Ended ended = Ended::nothing; // what has ended without having woken waiters yet

// Whether jobs have come for a waiter that is bound to tenants; takes one. A waiter that also wants certain queues takes
// none, because its job may be of another queue than the one that was counted: so too many waiters are woken, never too few.
bool takes_as_bound(const Slot &waiter, Jobs &jobs, QueueJobs &queues, int64 &left) {
    if (waiter.bound > kTenants)
        return queues.has_for(waiter);
    for (int i = 0; i < waiter.bound; ++i) {
        auto const found = jobs.find(waiter.tenants[i]);
        if (found == jobs.end() || found->second <= 0 || !queues.has_for(waiter))
            continue;
        if (waiter.queue_count == 0) {
            --found->second;
            --left;
        }
        return true;
    }
    return false;
}

// Waiters that are bound to tenants are woken first, since they can take only jobs of these tenants. The jobs that
// are left wake the other waiters.
void wake_for(int queue, Jobs &jobs, QueueJobs &queues, int64 left) {
    for (int link = memory->queues[queue].last; link != 0;) {
        int const slot = link - 1;
        Slot const &waiter = memory->slots[slot];
        link = waiter.previous;
        if (waiter.bound > 0 && takes_as_bound(waiter, jobs, queues, left))
            wake(slot);
    }
    for (int link = memory->queues[queue].last; link != 0 && left > 0;) {
        int const slot = link - 1;
        link = memory->slots[slot].previous;
        if (memory->slots[slot].bound == 0 && queues.take_for(memory->slots[slot])) {
            wake(slot);
            --left;
        }
    }
}

bool has_waiters() {
    return pg_atomic_read_u32(&bucket_of(pending.table()).waiting) > 0;
}

// A commit changes the news before it looks for waiters, just as a waiter registers before it looks at the news.
void add_news(const QueueJobs &of) {
    Oid const table = pending.table();
    pg_atomic_fetch_add_u64(&bucket_of(table).news, 1);
    if (of.many || pending->wakes_all)
        for (Bucket &bucket : memory->buckets)
            pg_atomic_fetch_add_u64(&bucket.news, 1);
    else
        for (int i = 0; i < of.count; ++i)
            pg_atomic_fetch_add_u64(&bucket_of(table, of.of[i].queue).news, 1);
}

void wake_for_jobs(Jobs &jobs) {
    int64 all = 0;
    for (auto const &of_tenant : jobs)
        all += of_tenant.second;
    Exclusive const lock;
    int const queue = find_queue(pending.table());
    if (queue >= 0)
        pending->wakes_all ? wake_any(queue, kSlots) : wake_for(queue, jobs, pending->queues, all);
}

// Tenants that opened and have jobs left count as if the transaction had brought jobs of theirs, in each queue. Returns
// whether there are any. Static, because a callback allocates nothing.
bool add_opened() {
    static ring::QueuesOfTenant found;
    bool any = false;
    for (auto const &[tenant, openings] : pending->opened) {
        if (openings.times + openings.elsewhere <= 0)
            continue;
        ring::find_queues_of(pending.table(), tenant, found);
        int64 &jobs = pending->at_commit.find(hash_of(tenant))->second;
        for (int i = 0; i < found.count; ++i) {
            bool const seen = found.queues[i] == pending->seen_queue;
            int64 const times = openings.times + (seen ? 0 : openings.elsewhere);
            pending->queues.add(found.queues[i], times);
            jobs += times;
            any = any || times > 0;
        }
        pending->queues.many = pending->queues.many || found.all;
        jobs += found.all ? 1 : 0;
        any = any || found.all;
    }
    return any;
}

void publish_times() {
    Exclusive const lock;
    int const queue = find_or_make_queue(pending.table());
    if (queue < 0)
        return;
    Queue &of = memory->queues[queue];
    bool sooner = pending->due_at < of.due_at;
    of.due_at = std::min(of.due_at, pending->due_at); // stays 0 until the leader looks
    for (int i = 0; i < pending->opens_at.count; ++i)
        sooner = note_opening(queue, {pending->opens_at.of[i].queue, pending->opens_at.of[i].jobs}) || sooner;
    sooner = sooner || pending->others_open_at < of.opens_at();
    of.others_open_at = std::min(of.others_open_at, pending->others_open_at);
    if (sooner)
        wake_leader(queue);
}

// If the news has changed since this transaction's claim looked, jobs may have come for a tenant whose lock the
// transaction holds, and other claims have passed over them: then the tenant opens when the transaction ends.
void open_held() {
    bool const opens = !pending->held.empty() &&
                       pg_atomic_read_u64(&bucket_of(pending.table()).news) != pending->news_when_held;
    for (auto entry = pending->opened.begin(); opens && entry != pending->opened.end(); ++entry)
        entry->second.times = std::max<int64>(entry->second.times, 1);
}

// Waiters of a queue compare the news of that queue: so it has to be known in which queues the opened tenants have jobs
// even when no session waits yet.
void at_commit() {
    open_held();
    bool const opens = add_opened(), any = opens || pending->wakes_all || pending->brings_jobs;
    if (any)
        add_news(pending->queues);
    else
        pg_memory_barrier(); // a waiter registers before it looks for due jobs
    bool const waiting = has_waiters();
    if (any && waiting)
        wake_for_jobs(pending->at_commit);
    if (pending->opens_at.count > 0 || pending->others_open_at != DT_NOEND ||
        (pending->due_at != DT_NOEND && waiting))
        publish_times();
}

void at_abort() {
    QueueJobs const &back = pending->at_abort;
    if (back.count == 0)
        return;
    add_news(back);
    if (!has_waiters())
        return;
    Exclusive const lock;
    int const queue = find_queue(pending.table());
    for (int i = 0; queue >= 0 && i < back.count; ++i)
        wake_any(queue, back.of[i].jobs, back.of[i].queue);
    if (queue >= 0 && back.many)
        wake_any(queue, kSlots);
}

// Changes of savepoints that were rolled back stay in the lists, because a needless wake-up costs only one claim. The
// next claim finds what a prepared transaction brings.
void at_end(pg::TransactionEvent event) {
    if (event == pg::TransactionEvent::commit || event == pg::TransactionEvent::abort)
        end_with_transaction(event == pg::TransactionEvent::abort);
    if (!pending)
        return;
    if (event == pg::TransactionEvent::commit)
        ended = Ended::commit;
    if (event == pg::TransactionEvent::abort)
        ended = Ended::abort;
    if (event == pg::TransactionEvent::savepoint_abort)
        ended = Ended::savepoint;
    if (event == pg::TransactionEvent::prepare)
        pending->clear();
}

// A transaction's locks outlive its changes by a moment. A waiter that is woken in between, or sees the news,
// would claim at once, find a tenant locked, and then wait for a wake-up that never comes. So waiters are woken only
// after the locks are released.
void after_locks(ResourceReleasePhase phase, bool, bool, void *) {
    if (phase != RESOURCE_RELEASE_AFTER_LOCKS || ended == Ended::nothing)
        return;
    if (ended == Ended::commit)
        at_commit();
    else
        at_abort();
    if (ended != Ended::savepoint)
        pending->clear();
    ended = Ended::nothing;
}

} // namespace

void install_callbacks() {
    pg::on_transaction_end<at_end>();
    RegisterResourceReleaseCallback(after_locks, nullptr);
}

void jobs_came(Oid table, core::LaneName lane, int64 jobs) {
    if (memory == nullptr)
        return;
    pending.of(table).at_commit[hash_of(lane.tenant)] += jobs;
    pending->queues.add(hash_of(lane.queue), jobs);
    pending->brings_jobs = true;
}

void jobs_come_back(Oid table, std::string_view queue, int64 jobs) {
    if (memory != nullptr)
        pending.of(table).at_abort.add(hash_of(queue), jobs);
}

void tenant_opens(Oid table, std::string_view tenant) {
    if (memory == nullptr)
        return;
    pending.of(table).at_commit[hash_of(tenant)];
    ++pending->opened[std::string(tenant)].times;
}

void tenant_held(Oid table, std::string_view tenant, std::uint64_t news) {
    if (memory == nullptr)
        return;
    if (pending.of(table).held.empty())
        pending->news_when_held = news;
    pending->at_commit[hash_of(tenant)];
    pending->opened[*pending->held.emplace(tenant).first];
}

void rules_changed(Oid table) {
    if (memory != nullptr)
        pending.of(table).wakes_all = true;
}

void job_due(Oid table, TimestampTz at) {
    if (memory != nullptr)
        pending.of(table).due_at = std::min(pending.of(table).due_at, at);
}

void rate_opens(Oid table, std::string_view queue, int64 at) {
    if (memory == nullptr)
        return;
    QueueJobs &times = pending.of(table).opens_at;
    uint64 const hash = hash_of(queue);
    auto *const known =
        std::find_if(times.of, times.of + times.count, [&](auto &of) { return of.queue == hash; });
    if (known != times.of + times.count)
        known->jobs = std::min(known->jobs, at);
    else if (times.count < QueueJobs::kMost)
        times.of[times.count++] = {hash, at};
    else
        pending->others_open_at = std::min(pending->others_open_at, at);
}

// Not in a savepoint: its rollback would undo what the claim took, but not what was brought before it. The tenants' numbers
// stay if the transaction has brought jobs to other queues as well: then too many waiters are woken.
void own_jobs_seen(Oid table, std::string_view queue) {
    if (!pending || memory == nullptr || GetCurrentTransactionNestLevel() != 1 || pending->wakes_all)
        return;
    QueueJobs &queues = pending.of(table).queues;
    uint64 const hash = hash_of(queue);
    auto *const end = queues.of + queues.count;
    auto *const own = std::find_if(queues.of, end, [&](auto &of) { return of.queue == hash; });
    if (own != end)
        own->jobs = 0;
    if (!queues.many && queues.count == (own == end ? 0 : 1)) {
        queues.count = 0;
        for (auto &jobs : pending->at_commit)
            jobs.second = 0;
        pending->brings_jobs = false;
    }
    for (auto &[tenant, openings] : pending->opened)
        openings = {0, openings.times + openings.elsewhere};
    pending->seen_queue = hash;
}

} // namespace fairq::shared::waiters
