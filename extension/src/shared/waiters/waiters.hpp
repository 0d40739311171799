// Waiters are sessions that wait for jobs; they register in shared memory, and transactions wake them. A
// transaction that brings jobs wakes as many waiters as it brings jobs when it commits; while no session
// waits, that costs an atomic addition and an atomic read. No wake-up is lost:
//   - a commit that brings something to claim first adds to the queue's news, then looks for waiters;
//   - a claim notes the news before its snapshot; a waiter first registers, then compares the news with what
//     its session's last claim noted: a commit in between has changed the news or sees the waiter;
//   - when an error ends a waiter after it was woken, the next waiter is woken instead;
//   - a claim that is rolled back brings the jobs that it took.
// No waiter needs a timer for due jobs and stale leases: the waiter that came first, the leader of the queue,
// does the housekeeping, and so brings jobs as any other transaction does. It is woken last. Without shared
// memory, or without a free slot in it, a waiter cannot be woken, and polls.
#pragma once

#include "core/lane_name.hpp"
#include "pg/shared_memory.hpp"

namespace fairq::shared::waiters {

extern const pg::shared_memory::Segment segment;
// By _PG_init, when preloaded, before the ring's: a waiter that is woken must find the ring already changed.
void install_callbacks();

bool available();
std::uint64_t hash_of(std::string_view name); // of a queue or a tenant, by the secret of this memory

// ------------------------------------------------------------------------------- what a transaction brings

// When this transaction commits, `jobs` jobs of the lane can be claimed.
void jobs_came(Oid table, core::LaneName lane, int64 jobs);
// When this transaction, or a savepoint in it, rolls back, `jobs` jobs of the queue can be claimed again.
void jobs_come_back(Oid table, std::string_view queue, int64 jobs);
// After this transaction the tenant may be served again: fewer jobs count for its cap, or its lock is free. Waiters
// of those queues are woken in which the tenant has jobs.
void tenant_opens(Oid table, std::string_view tenant);
// The same, if the news of all queues differs from `news` at the end of this transaction: the transaction has the tenant's
// lock until then, and other claims have passed over the jobs that came meanwhile.
void tenant_held(Oid table, std::string_view tenant, std::uint64_t news);
// The limits of a tenant or of the queue have changed: all waiters are woken.
void rules_changed(Oid table);
void job_due(Oid table, TimestampTz at); // a scheduled job is due then
// A rate lets the next job of the queue through then, by the monotonic clock.
void rate_opens(Oid table, std::string_view queue, int64 at);

// ------------------------------------------------------------------------------------------ what a claim saw

// Counts transactions that brought something to claim: in one queue, and in all of them.
struct News {
    std::uint64_t of_queue, of_all;
};
News news(Oid table, std::string_view queue); // to be read before the claim's snapshot is taken
// all: the claim saw all that it could claim. more: the claim may have left jobs that a session could claim.
// stopped: it looked only at `visited` of `lanes` lanes.
enum class Saw { all, more, stopped };
void claimed(Oid table, std::string_view queue, News news, Saw saw, int visited = 0, int lanes = 0);
// A claim for all tenants and types has seen the jobs that this transaction brought to the queue, so they need not wake a
// waiter.
void own_jobs_seen(Oid table, std::string_view queue);

// ------------------------------------------------------------------------------------------ waiting

// Which jobs a session waits for: of these tenants and queues. Null: of all.
struct Wanted {
    const std::vector<std::string> *tenants, *queues;
};
// Registers this session as a waiter, until leave(), or until an error ends its transaction. False: there is no slot
// for it.
bool enter(Oid table, const Wanted &wanted);
// What this session, registered or not, has seen of these queues as they are (null: of those that it has claimed from
// lately, if nothing has come to any other since). stopped: claim again after a moment.
Saw seen(Oid table, const std::vector<std::string> *queues);

struct Watch {
    bool woken, leader;
    TimestampTz due_at; // when the next scheduled job is due; 0: the leader has to look
    int64 opens_at;     // when a rate lets the next job through, by the monotonic clock
};
Watch watch();                   // also wakes a waiter if a rate now lets a job through
void begin_look();               // the leader is going to look for scheduled jobs,
void end_look(TimestampTz next); // and has found when the next one is due
void check_client();             // raises an error if the client has gone
bool leave();                    // true: it was woken; an error before the commit wakes another
// The session is about to claim from these queues, and will then have seen all news.
void mark_seen(Oid table, const std::vector<std::string> *queues);

} // namespace fairq::shared::waiters
