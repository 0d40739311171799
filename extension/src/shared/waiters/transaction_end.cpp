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

struct Pending {
    Jobs at_commit;
    int64 at_abort = 0;
    // Tenants that may be served again; all are in at_commit.
    std::map<std::string, int64, std::less<>> opened;
    bool brings_jobs = false; // counts as news in any case
    // Tenants that this transaction has locked; all are in the maps above.
    std::set<std::string, std::less<>> held;
    uint64 news_when_held = 0; // the news when the claim began that got the first of them
    bool wakes_all = false;
    TimestampTz due_at = DT_NOEND, opens_at = DT_NOEND;

    void clear() {
        pg::clear_and_shrink(at_commit);
        at_abort = 0;
        opened.clear();
        brings_jobs = false;
        held.clear();
        wakes_all = false;
        due_at = opens_at = DT_NOEND;
    }
};
pg::PendingChanges<Pending> pending;

enum class Ended { nothing, commit, abort, savepoint };
Ended ended = Ended::nothing; // what has ended without having woken waiters yet

// Waiters that are bound to tenants are woken first, since they can take only jobs of these tenants. The jobs that
// are left wake the other waiters.
void wake_for(int queue, Jobs &jobs, int64 left) {
    for (int link = memory->queues[queue].last; link != 0;) {
        int const slot = link - 1;
        Slot const &waiter = memory->slots[slot];
        link = waiter.previous;
        bool woken = waiter.bound > kTenants;
        for (int i = 0; i < waiter.bound && waiter.bound <= kTenants && !woken; ++i) {
            auto const found = jobs.find(waiter.tenants[i]);
            woken = found != jobs.end() && found->second > 0;
            if (woken) {
                --found->second;
                --left;
            }
        }
        if (woken)
            wake(slot);
    }
    for (int link = memory->queues[queue].last; link != 0 && left > 0;) {
        int const slot = link - 1;
        link = memory->slots[slot].previous;
        if (memory->slots[slot].bound == 0) {
            wake(slot);
            --left;
        }
    }
}

bool has_waiters() {
    return pg_atomic_read_u32(&bucket_of(pending.table()).waiting) > 0;
}

// A commit changes the news before it looks for waiters, just as a waiter registers before it looks at the news.
void add_news() {
    pg_atomic_fetch_add_u64(&bucket_of(pending.table()).news, 1);
}

void wake_for_jobs(Jobs &jobs) {
    int64 all = 0;
    for (auto const &of_tenant : jobs)
        all += of_tenant.second;
    Exclusive const lock;
    int const queue = find_queue(pending.table());
    if (queue >= 0)
        pending->wakes_all ? wake_any(queue, kSlots) : wake_for(queue, jobs, all);
}

// Tenants that opened and have jobs left count as if the transaction had brought jobs of theirs.
void add_opened() {
    for (auto const &[tenant, times] : pending->opened)
        if (ring::may_have_jobs(pending.table(), tenant))
            pending->at_commit.find(hash_of(tenant))->second += times;
}

void publish_times() {
    Exclusive const lock;
    int const queue = find_or_make_queue(pending.table());
    if (queue < 0)
        return;
    Queue &of = memory->queues[queue];
    bool const sooner = pending->due_at < of.due_at || pending->opens_at < of.opens_at;
    of.due_at = std::min(of.due_at, pending->due_at); // stays 0 until the leader looks
    of.opens_at = std::min(of.opens_at, pending->opens_at);
    if (sooner)
        wake_leader(queue);
}

// If the news has changed since this transaction's claim looked, jobs may have come for a tenant whose lock the
// transaction holds, and other claims have passed over them: then the tenant opens when the transaction ends.
bool open_held() {
    bool const opens = !pending->held.empty() && news(pending.table()) != pending->news_when_held;
    for (auto entry = pending->opened.begin(); opens && entry != pending->opened.end(); ++entry)
        entry->second = std::max<int64>(entry->second, 1);
    return opens;
}

void at_commit() {
    bool const opens = open_held(), any = opens || pending->wakes_all || pending->brings_jobs;
    if (any)
        add_news();
    else
        pg_memory_barrier(); // a waiter registers before it looks for due jobs
    bool const waiting = has_waiters();
    if (any && waiting) {
        add_opened();
        wake_for_jobs(pending->at_commit);
    }
    if (pending->opens_at != DT_NOEND || (pending->due_at != DT_NOEND && waiting))
        publish_times();
}

void at_abort() {
    if (pending->at_abort == 0)
        return;
    add_news();
    if (!has_waiters())
        return;
    Exclusive const lock;
    int const queue = find_queue(pending.table());
    if (queue >= 0)
        wake_any(queue, pending->at_abort);
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

void jobs_came(Oid table, std::string_view tenant, int64 jobs) {
    if (memory == nullptr)
        return;
    pending.of(table).at_commit[hash_of(tenant)] += jobs;
    pending->brings_jobs = true;
}

void jobs_come_back(Oid table, int64 jobs) {
    if (memory != nullptr)
        pending.of(table).at_abort += jobs;
}

void tenant_opens(Oid table, std::string_view tenant) {
    if (memory == nullptr)
        return;
    jobs_came(table, tenant, 0);
    ++pending->opened[std::string(tenant)];
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

void rate_opens(Oid table, TimestampTz at) {
    if (memory != nullptr)
        pending.of(table).opens_at = std::min(pending.of(table).opens_at, at);
}

// Not in a savepoint: its rollback would undo what the claim took, but not what was brought before it.
void own_jobs_seen() {
    if (pending && GetCurrentTransactionNestLevel() == 1 && !pending->wakes_all) {
        pending->at_commit.clear();
        pending->opened.clear();
        pending->brings_jobs = false;
        for (std::string const &tenant : pending->held) {
            pending->at_commit[hash_of(tenant)];
            pending->opened[tenant];
        }
    }
}

} // namespace fairq::shared::waiters
