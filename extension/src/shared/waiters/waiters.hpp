// Sessions that wait for jobs, in shared memory, and who wakes them. A transaction that brought jobs wakes,
// when it commits, as many waiters as it brought jobs; while nobody waits that costs an atomic addition and
// an atomic read. No wake-up is lost:
//   - every commit that brings something to claim adds to the queue's news, then looks for waiters;
//   - a claim notes the news before its snapshot; a waiter registers first, then compares the news with what
//     its session's last claim noted: whoever committed in between has changed the news or sees the waiter;
//   - a waiter that an error ends after it was woken wakes the next one in its place;
//   - a claim that is rolled back brings what it took.
// Nobody is woken by the time: of a queue's waiters the one that came first, the leader, keeps house (due
// jobs, stale leases), and so brings jobs like everybody else. It is woken last. Without shared memory, or
// without a place in it, nobody can tell anybody anything: then waiting is polling.
#pragma once

#include "pg/shared_memory.hpp"

namespace fairq::shared::waiters {

extern const pg::shared_memory::Segment segment;
// By _PG_init, when preloaded, before the ring's: who is woken has to find the ring as it will be.
void install_callbacks();

bool available();

// ------------------------------------------------------------------------------------------ what comes

// When this transaction commits: so many jobs of the tenant can be claimed.
void jobs_came(Oid table, std::string_view tenant, int64 jobs);
// When it, or a savepoint in it, rolls back.
void jobs_come_back(Oid table, int64 jobs);
// The tenant may be served again, if it has jobs: one that runs less counts for its cap, its lock is free.
void tenant_opens(Oid table, std::string_view tenant);
// The same if anybody has had other news than these when this transaction ends: it has the tenant's lock
// until then, and what came meanwhile had to wait for that.
void tenant_held(Oid table, std::string_view tenant, std::uint64_t news);
// Something has changed for everybody, so all are woken.
void rules_changed(Oid table);
void job_due(Oid table, TimestampTz at); // a scheduled job is
// A rate lets the next job through at that time.
void rate_opens(Oid table, TimestampTz at);

// ------------------------------------------------------------------------------------------ what a claim saw

std::uint64_t news(Oid table); // to be read before the claim's snapshot is taken
// full: there may be more. stopped: it looked at so many lanes out of so many, and not at all of them.
enum class Saw { all, full, stopped };
void claimed(Oid table, std::uint64_t news, Saw saw, int visited = 0, int lanes = 0);
// The claim was anybody's, and saw all that this transaction brought before: nobody need be told of that.
void own_jobs_seen();

// ------------------------------------------------------------------------------------------ waiting

// Registers this session, for jobs of these tenants (null: all), until leave(), or the end of a transaction
// in an error. False: there is no place for it.
bool enter(Oid table, const std::vector<std::string> *tenants);
// What this session, registered or not, has seen of the queue. stopped: go on after a moment.
Saw seen(Oid table);

struct Watch {
    bool woken, leader;
    TimestampTz due_at;   // of the next scheduled job; 0: look for it
    TimestampTz opens_at; // when a rate lets the next job through
};
Watch watch();                   // wakes somebody when a rate does
void begin_look();               // the leader is going to look for due jobs,
void end_look(TimestampTz next); // and has found the next one
void check_client();             // raises if nobody is there to be told
bool leave();                    // true: it was woken; an error until the commit still wakes another
void told(Oid table);            // the session is told to claim: it has seen all news when it has

} // namespace fairq::shared::waiters
