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

#include "pg/shared_memory.hpp"

namespace fairq::shared::waiters {

extern const pg::shared_memory::Segment segment;
// By _PG_init, when preloaded, before the ring's: a waiter that is woken must find the ring already changed.
void install_callbacks();

bool available();

// ------------------------------------------------------------------------------- what a transaction brings

// When this transaction commits, `jobs` jobs of the tenant can be claimed.
void jobs_came(Oid table, std::string_view tenant, int64 jobs);
// When this transaction, or a savepoint in it, rolls back, `jobs` jobs can be claimed again.
void jobs_come_back(Oid table, int64 jobs);
// After this transaction the tenant may be served again: fewer jobs count for its cap, or its lock is free. Waiters
// are woken if the tenant has jobs.
void tenant_opens(Oid table, std::string_view tenant);
// The same, if the queue's news differs from `news` at the end of this transaction: the transaction has the tenant's
// lock until then, and other claims have passed over the jobs that came meanwhile.
void tenant_held(Oid table, std::string_view tenant, std::uint64_t news);
// The limits of a tenant or of the queue have changed: all waiters are woken.
void rules_changed(Oid table);
void job_due(Oid table, TimestampTz at); // a scheduled job is due then
void rate_opens(Oid table, int64 at);    // a rate lets the next job through then, by the monotonic clock

// ------------------------------------------------------------------------------------------ what a claim saw

std::uint64_t news(Oid table); // to be read before the claim's snapshot is taken
// all: the claim saw all that it could claim. more: the claim may have left jobs that a session could claim.
// stopped: it looked only at `visited` of `lanes` lanes.
enum class Saw { all, more, stopped };
void claimed(Oid table, std::uint64_t news, Saw saw, int visited = 0, int lanes = 0);
// A claim for all tenants and types has seen the jobs that this transaction brought, so they need not wake a waiter.
void own_jobs_seen();

// ------------------------------------------------------------------------------------------ waiting

// Registers this session as a waiter for jobs of these tenants (null: all), until leave(), or until an error
// ends its transaction. False: there is no slot for it.
bool enter(Oid table, const std::vector<std::string> *tenants);
// What this session, registered or not, has seen of the queue as it is. stopped: claim again after a moment.
Saw seen(Oid table);

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
void mark_seen(Oid table);       // the session is about to claim, and will then have seen all news

} // namespace fairq::shared::waiters
