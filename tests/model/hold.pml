/* A held lane: no lane whose jobs can run stays held without an event, or a time, that ends the hold.
 *
 * The rule: extension/src/core/holds.hpp, "THE RULE"; extension/src/shared/ring/ring.cpp (begin, draw, settle),
 * memory.cpp (enter, open, make_lane), transaction_end.cpp (what a transaction tells the ring when it ends);
 * extension/src/queue/limit_check.cpp (judge); pg/table_cache.hpp (copies of limits and paused types).
 *
 * The model has one tenant with a cap of CAP running jobs, and a lane with jobs of a type that may be paused, and perhaps
 * others. CLAIMS claims judge whether the lane can run, take a job or not, hold the lane or not. Beside them, OTHERS other
 * transactions do what may end a hold, of all kinds, from every state at the beginning. A step of a process is
 * what the extension does under the ring's lock, or what PostgreSQL does at one moment: a snapshot, a commit that
 * becomes visible, an invalidation that is sent.
 *
 *   running, paused, out_of_tokens, type_paused, other_jobs   what the tables (and the time) say to a new snapshot: how
 *                many running jobs count for the cap; whether the tenant is paused, and out of tokens; whether the type
 *                is paused, and whether the lane has jobs of another type
 *   copy[claim]  what a session believes of limits and paused types; it reads them anew when it was told to
 *   known, held, reason, timed   whether the ring has the lane; its hold, and whether a time ends it
 *   older        whether the hold is older than the last event of all lanes for its reason
 *   since[claim] the events since the claim has read their number: the extension compares HoldState::events,
 *                events_of_all and HeldLane::events with the number that the claim has seen
 *
 * When all have ended, a claim comes at a later time: if the lane can run then, it must not be held. Each of these
 * macros takes one rule away, and then the check has to find a lane that is held for ever:
 *
 * RULE HOLDS_UNCHECKED: a hold counts only if there was no event since
 * RULE SEEN_AFTER_SNAPSHOT: a claim reads the number of events before it takes the snapshot by which it judges
 * RULE SEEN_AFTER_LIMITS: a claim reads the number of events before it reads limits and paused types
 * RULE TOLD_BEFORE_VISIBLE: an event is told when the commit is visible, not before
 * RULE TOLD_BEFORE_INVALIDATION: a change of rules is told when the invalidations were sent, not before
 * RULE WITHOUT_EVENT_OF_END: the end of a running job is an event
 * RULE WITHOUT_EVENT_OF_ROLLBACK: the rollback of a claim is an event
 * RULE WITHOUT_EVENT_OF_RULES: a change of limits or of paused types is an event
 * RULE WITHOUT_EVENT_OF_ENTRY: a job that enters the lane is an event
 * RULE WITHOUT_TIME: a lane that is out of tokens comes back at the time of the next one
 * RULE HOLDS_BY_OWN_RULES: a transaction that has changed rules itself holds no lane
 * RULE NEW_LANE_IS_UNCHANGED -DCLAIMS=1 -DOTHERS=2: a lane that is new to the ring counts as changed just now
 * RULE ENDED_BEFORE_NUMBERED: an event of all lanes gets its number before it ends the older holds
 * RULE WITHOUT_RESCAN -DPREPARED: the rescan finds what a prepared transaction has changed
 * HOLDS -DCLAIMS=1 -DOTHERS=2
 * HOLDS -DPREPARED
 * DEEP -DOTHERS=2
 */
#define CAP 1
#ifndef CLAIMS
#define CLAIMS 2
#endif
#ifndef OTHERS
#define OTHERS 1
#endif
#define LIMITS 0
#define JOBS 1

typedef Rules { bool paused, type_paused, stale };
typedef Events { bool counts, happened[2] };

byte running;
bool paused, out_of_tokens, type_paused, other_jobs;
bool tenant_lock;
Rules copy[CLAIMS];
bool known, held, timed, older;
bit reason;
Events since[CLAIMS];
byte at_work;
byte i; /* only in d_step */

inline number_event(why) {
    for (i : 0 .. CLAIMS - 1) {
        since[i].happened[why] = since[i].happened[why] || since[i].counts
    }
}

/* An event of the lane, if the ring has it. */
inline event(why) {
    d_step {
        if
        :: known -> number_event(why); held = held && reason != why
        :: else
        fi
    }
}

/* An event of all lanes. To end their holds takes more than one step, because the lock is given back meanwhile. */
inline event_of_all(why) {
#ifdef ENDED_BEFORE_NUMBERED
    held = held && reason != why;
    d_step { number_event(why); skip }
#else
    d_step { number_event(why); older = older || (held && reason == why) };
    d_step { held = held && !older; older = false }
#endif
}

/* A job enters the lane, which the ring may have to make. */
inline enter() {
    d_step {
        if
        :: !known ->
            known = true;
#ifndef NEW_LANE_IS_UNCHANGED
            number_event(LIMITS);
            number_event(JOBS);
#endif
            skip
        :: else
        fi
    }
#ifndef WITHOUT_EVENT_OF_ENTRY
    event(JOBS)
#endif
}

/* Limits or paused types have changed: what follows the moment at which the commit became visible. */
inline invalidate() {
    d_step {
        for (i : 0 .. CLAIMS - 1) {
            copy[i].stale = true
        }
    }
}

inline read_events() {
    d_step { since[me].counts = true; since[me].happened[LIMITS] = false; since[me].happened[JOBS] = false }
}

inline read_rules() {
    d_step {
        if
        :: copy[me].stale ->
            copy[me].paused = paused; copy[me].type_paused = type_paused; copy[me].stale = false
        :: else
        fi
    }
}

inline take_snapshot() {
    d_step { seen_running = running; seen_other_jobs = other_jobs; seen_out_of_tokens = out_of_tokens }
}

inline settle() {
    d_step {
        if
#ifdef HOLDS_UNCHECKED
        :: hold && known && !held -> held = true; reason = why; timed = until_time; older = false
#else
        :: hold && known && !held && !since[me].happened[why] -> held = true; reason = why; timed = until_time; older = false
#endif
        :: else
        fi;
        since[me].counts = false; since[me].happened[LIMITS] = false; since[me].happened[JOBS] = false;
        seen_running = 0; seen_other_jobs = false; seen_out_of_tokens = false;
        hold = false; why = 0; until_time = false
    }
}

/* By the first snapshot, without the tenant's lock. */
inline peek() {
    if
    :: copy[me].paused || seen_running >= CAP -> hold = true; why = LIMITS
    :: !copy[me].paused && seen_running < CAP && seen_out_of_tokens -> hold = true; why = LIMITS; until_time = true
    :: else
    fi
}

/* By a new snapshot, with the tenant's lock. The jobs of the lane are those that the first snapshot sees. */
inline take() {
    if
    :: running >= CAP -> hold = true; why = LIMITS
    :: running < CAP && copy[me].type_paused && !seen_other_jobs -> hold = true; why = JOBS
    :: else -> took = true; hold = running + 1 >= CAP; why = LIMITS
    fi
}

proctype Claim(byte me) {
    byte seen_running;
    bool seen_other_jobs, seen_out_of_tokens, hold, until_time, locked, took;
    bit why;

#ifdef SEEN_AFTER_LIMITS
    read_rules();
#endif
#ifndef SEEN_AFTER_SNAPSHOT
    read_events();
#endif
    take_snapshot();
#ifdef SEEN_AFTER_SNAPSHOT
    read_events();
#endif
#ifndef SEEN_AFTER_LIMITS
    read_rules();
#endif
    d_step {
#ifndef WITHOUT_TIME
        held = held && !(timed && !out_of_tokens); /* the draw ends holds whose time has come */
#endif
        if
        :: known && !held -> peek(); locked = !hold
        :: else
        fi
    }
    /* A lane whose lock another session has is passed over, not held. */
    d_step {
        if
        :: locked && !tenant_lock -> tenant_lock = true; take()
        :: else -> locked = false
        fi
    }
    settle();
    if
    :: took -> running++ /* the commit */
#ifdef WITHOUT_EVENT_OF_ROLLBACK
    :: took
#else
    :: took -> event(LIMITS); event(JOBS)
#endif
    :: !took
    fi;
    tenant_lock = tenant_lock && !locked;
    at_work--
}

/* A transaction that pauses the tenant, claims, and rolls back. */
inline claim_by_own_rules() {
    skip;
#ifdef HOLDS_BY_OWN_RULES
    atomic {
        if
        :: known && !held -> held = true; reason = LIMITS; timed = false
        :: else
        fi
    }
#endif
}

inline end_job() {
#ifdef TOLD_BEFORE_VISIBLE
    event(LIMITS);
#endif
    if
    :: d_step { running > 0 -> running-- };
#if !defined(TOLD_BEFORE_VISIBLE) && !defined(WITHOUT_EVENT_OF_END) && !defined(PREPARED)
        event(LIMITS);
#endif
        skip
    :: running == 0
    fi
}

/* all: limits that were written directly to the table. */
inline resume_tenant(all) {
    paused = false;
#ifndef TOLD_BEFORE_INVALIDATION
    invalidate();
#endif
#ifndef WITHOUT_EVENT_OF_RULES
    if
    :: all -> event_of_all(LIMITS)
    :: else -> event(LIMITS)
    fi;
#endif
#ifdef TOLD_BEFORE_INVALIDATION
    invalidate()
#endif
}

inline resume_type() {
    type_paused = false;
#ifndef TOLD_BEFORE_INVALIDATION
    invalidate();
#endif
#ifndef WITHOUT_EVENT_OF_RULES
    event_of_all(JOBS);
#endif
#ifdef TOLD_BEFORE_INVALIDATION
    invalidate()
#endif
}

proctype Other() {
    if
    :: end_job()
    :: resume_tenant(false)
    :: resume_tenant(true)
    :: resume_type()
    :: other_jobs = true; enter()
    :: claim_by_own_rules()
    :: out_of_tokens = false /* time passes */
    fi;
    at_work--
}

#define can_run (!paused && !out_of_tokens && running < CAP && (other_jobs || !type_paused))

init {
    atomic {
        if :: true :: running = CAP fi;
        if :: true :: paused = true fi;
        if :: true :: out_of_tokens = true fi;
        if :: true :: type_paused = true fi;
        if :: true :: other_jobs = true fi;
        if :: known = true :: true fi;
        d_step {
            for (i : 0 .. CLAIMS - 1) {
                copy[i].paused = paused; copy[i].type_paused = type_paused
            }
        }
        at_work = CLAIMS + OTHERS;
        for (i : 1 .. CLAIMS) {
            run Claim(i - 1)
        }
        for (i : 1 .. OTHERS) {
            run Other()
        }
    }
    at_work == 0;
#if defined(PREPARED) && !defined(WITHOUT_RESCAN)
    held = held && !(reason == JOBS || can_run);
#endif
#ifndef WITHOUT_TIME
    held = held && !(timed && !out_of_tokens);
#endif
    assert(!(held && can_run))
}
