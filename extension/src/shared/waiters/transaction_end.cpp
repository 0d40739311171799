// What a transaction tells waiters when it ends (see waiters.hpp).
#include "pg/transaction_end.hpp"
#include "shared/ring/ring.hpp"
#include "shared/waiters/memory.hpp"
#include "shared/waiters/waiters.hpp"

#include <map>
#include <set>
#include <unordered_map>

namespace fairq::shared::waiters {

namespace {

using Jobs = std::unordered_map<uint64, int64>; // by the hash of their tenant

struct Pending {
    Jobs at_commit;
    int64 at_abort = 0;
    std::map<std::string, int64, std::less<>> opened; // each has an entry in at_commit
    bool brings = false;                              // something that others are to be told in any case
    std::set<std::string, std::less<>> held;          // tenants whose locks we have; entries as above
    uint64 held_since = 0;                            // the news before the first of them
    bool everybody = false;
    TimestampTz due_at = DT_NOEND, opens_at = DT_NOEND;

    void clear() {
        pg::clear_and_shrink(at_commit);
        at_abort = 0;
        opened.clear();
        brings = false;
        held.clear();
        everybody = false;
        due_at = opens_at = DT_NOEND;
    }
};
pg::PendingChanges<Pending> pending;

enum class Ended { nothing, commit, abort, savepoint };
Ended ended = Ended::nothing; // and nobody has been told yet

// Those that are bound to tenants come first, only theirs will do; what is left is for anybody.
void wake_for(int queue, Jobs &jobs, int64 left) {
    for (int link = memory->queues[queue].last; link != 0;) {
        int const place = link - 1;
        Place const &waiter = memory->places[place];
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
            wake(place);
    }
    for (int link = memory->queues[queue].last; link != 0 && left > 0;) {
        int const place = link - 1;
        link = memory->places[place].previous;
        if (memory->places[place].bound == 0) {
            wake(place);
            --left;
        }
    }
}

bool somebody_waits() {
    return pg_atomic_read_u32(&bucket_of(pending.table()).waiting) > 0;
}

// News before the look for waiters, as a waiter registers before its look for news.
void add_news() {
    pg_atomic_fetch_add_u64(&bucket_of(pending.table()).news, 1);
}

void tell_of(Jobs &jobs) {
    int64 all = 0;
    for (auto const &of_tenant : jobs)
        all += of_tenant.second;
    Exclusive const lock;
    int const queue = find_queue(pending.table());
    if (queue >= 0)
        pending->everybody ? wake_any(queue, kPlaces) : wake_for(queue, jobs, all);
}

// The tenants that have jobs left become such that have brought some.
void add_opened() {
    for (auto const &[tenant, times] : pending->opened)
        if (ring::may_have_jobs(pending.table(), tenant))
            pending->at_commit.find(hash_of(tenant))->second += times;
}

void tell_times() {
    Exclusive const lock;
    int const queue = find_or_make_queue(pending.table());
    if (queue < 0)
        return;
    Queue &of = memory->queues[queue];
    bool const sooner = pending->due_at < of.due_at || pending->opens_at < of.opens_at;
    of.due_at = std::min(of.due_at, pending->due_at); // stays 0 if nobody has looked
    of.opens_at = std::min(of.opens_at, pending->opens_at);
    if (sooner)
        wake_leader(queue);
}

// Others who had news since our claim looked may have come for a tenant that they found locked by us: then it
// is as one that may be served again.
bool open_held() {
    bool const opens = !pending->held.empty() && news(pending.table()) != pending->held_since;
    for (auto entry = pending->opened.begin(); opens && entry != pending->opened.end(); ++entry)
        entry->second = std::max<int64>(entry->second, 1);
    return opens;
}

void at_commit() {
    bool const opens = open_held(), any = opens || pending->everybody || pending->brings;
    if (any)
        add_news();
    else
        pg_memory_barrier(); // a waiter registers before it looks for due jobs
    bool const waiting = somebody_waits();
    if (any && waiting) {
        add_opened();
        tell_of(pending->at_commit);
    }
    if (pending->opens_at != DT_NOEND || (pending->due_at != DT_NOEND && waiting))
        tell_times();
}

void at_abort() {
    if (pending->at_abort == 0)
        return;
    add_news();
    if (!somebody_waits())
        return;
    Exclusive const lock;
    int const queue = find_queue(pending.table());
    if (queue >= 0)
        wake_any(queue, pending->at_abort);
}

// Told for nothing costs one look: so no list for each savepoint. What a prepared transaction brings is found
// by the next claim.
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

// A transaction's locks outlive its changes by a moment. Who is told before they are gone, or sees the news,
// claims at once, finds a tenant locked, and then waits for what nobody will say again: so they come first.
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
    pending->brings = true;
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
        pending->held_since = news;
    pending->at_commit[hash_of(tenant)];
    pending->opened[*pending->held.emplace(tenant).first];
}

void rules_changed(Oid table) {
    if (memory != nullptr)
        pending.of(table).everybody = true;
}

void job_due(Oid table, TimestampTz at) {
    if (memory != nullptr)
        pending.of(table).due_at = std::min(pending.of(table).due_at, at);
}

void rate_opens(Oid table, TimestampTz at) {
    if (memory != nullptr)
        pending.of(table).opens_at = std::min(pending.of(table).opens_at, at);
}

// In a savepoint it may yet be undone what the claim took, and what was brought before stays.
void own_jobs_seen() {
    if (pending && GetCurrentTransactionNestLevel() == 1 && !pending->everybody) {
        pending->at_commit.clear();
        pending->opened.clear();
        pending->brings = false;
        for (std::string const &tenant : pending->held) {
            pending->at_commit[hash_of(tenant)];
            pending->opened[tenant];
        }
    }
}

} // namespace fairq::shared::waiters
