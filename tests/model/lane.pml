/* A lane in the ring, and its skip ranges: no claimable job is hidden for ever.
 *
 * The rules: extension/src/shared/ring/ring.hpp (the comment at its top), ring.cpp (Ring, draw, settle), memory.cpp
 * (enter, make_skip_ranges), transaction_end.cpp (what a transaction tells the ring when it ends), rescan.cpp;
 * extension/src/tables/live_table.cpp (look), core/skip_ranges.cpp, tables/dead_ranges.cpp; docs/architecture.md, "Three
 * rules by which shared memory never hides a claimable job".
 *
 * The model has one tenant, whose lane has JOBS places. Sessions claim, complete, release and roll back; a producer
 * enqueues; somebody cancels a job and rolls back, or (CLEARS) deletes all jobs and tells the ring where nothing is left.
 * What a process does in one atomic step is what the extension does under one LWLock, or what PostgreSQL does at one
 * moment: a snapshot, the lock of a row, a commit or a rollback that becomes visible. The callback that tells the ring is
 * a step later, as in CommitTransaction() and AbortTransaction().
 *
 *   status, held      the rows of job_live; which of them are locked by a transaction in progress
 *   in_ring, ranges   whether the schedule contains the lane; its skip ranges, one bit for each place
 *   since[claim]      what happened to the ring since the claim has read its clock: the extension compares the numbers
 *                     of the clock (Queue::clock, Lane::changed_at, Queue::changes); it remembers KEPT changes
 *   stale[claim]      the rows that have a new version since the claim's snapshot
 *
 * When all have ended, each queued job must be where the next claim looks: the lane in the ring, the place in no skip
 * range. Each of these macros takes one rule away, and then the check has to find a hidden job:
 *
 * RULE WITHOUT_ENTRY_AT_COMMIT: a commit that makes a job claimable enters the lane into the ring
 * RULE WITHOUT_ENTRY_AT_ROLLBACK: the rollback of a claim enters the lane that the claim has emptied
 * RULE ENTRY_BEFORE_VISIBLE: the lane is entered when the commit is visible, not before
 * RULE CLOCK_AFTER_SNAPSHOT: a claim reads the clock before it takes its snapshot
 * RULE LEAVES_UNCHECKED: a lane leaves the ring only if nothing has entered it since
 * RULE LEAVES_BUSY: a lane does not leave the ring while another session has one of its jobs
 * RULE RANGES_UNCHECKED: a skip range leaves out what has changed since
 * RULE RANGES_OF_OLD_CLAIMS: a claim makes no skip range when more has changed since than the ring remembers
 * RULE RANGES_OVER_BUSY: a job that another session has is in no skip range
 * RULE WITHOUT_INVALIDATION: an entry cuts the skip ranges open
 * RULE CLEARS_UNCHECKED -DCLEARS -DCLAIMERS=1: who deletes many jobs makes no skip range of what has changed since
 * RULE CLEARS_BEFORE_COMMIT -DCLEARS -DCLAIMERS=1: he makes it when his deletes are visible
 * RULE WITHOUT_RESCAN -DDIRECT: the rescan finds jobs that were written directly to the tables
 * HOLDS -DDIRECT
 * HOLDS -DCLEARS -DCLAIMERS=1
 * DEEP -DROUNDS=2
 * DEEP -DCLEARS
 */
#define JOBS 2
#ifndef CLAIMERS
#define CLAIMERS 2
#endif
#define KEPT 1
#ifndef ROUNDS
#define ROUNDS 1
#endif
#define BIT(j) (1 << (j))

mtype = { none, queued, locked, gone };
typedef Changes {
    bool counts, any, too_many;
    byte places
};

mtype status[JOBS];
byte held;
bool in_ring;
byte ranges, last_change;
Changes since[CLAIMERS + 1]; /* the last one is of the clearing */
byte stale[CLAIMERS + 1];
byte at_work = CLAIMERS + 2;
byte i, k; /* only in d_step */

inline enter(where) {
    d_step {
        for (i : 0 .. CLAIMERS) {
            if
            :: since[i].counts ->
                since[i].too_many = since[i].any; /* KEPT is 1 */
                since[i].any = true;
                since[i].places = since[i].places | (where)
            :: else
            fi
        }
        last_change = where;
#ifndef WITHOUT_INVALIDATION
        ranges = ranges & ~(where);
#endif
        in_ring = true
    }
}

/* The rows that this transaction has changed are `to` from now on, and not locked any more. */
inline commit_rows(rows, to) {
    d_step {
        for (k : 0 .. JOBS - 1) {
            if
            :: rows & BIT(k) -> status[k] = to
            :: else
            fi
        }
        held = held & ~(rows);
        for (i : 0 .. CLAIMERS) {
            stale[i] = (since[i].counts -> stale[i] | (rows) : 0)
        }
    }
}

inline roll_back_rows(rows) {
    held = held & ~(rows)
}

inline read_clock() {
    d_step { since[me].counts = true; since[me].any = false; since[me].too_many = false; since[me].places = 0 }
}

inline take_snapshot() {
    d_step {
        for (k : 0 .. JOBS - 1) {
            seen[k] = status[k]
        }
        stale[me] = 0
    }
}

/* Looks at the places of the lane that are in no skip range, and takes up to `wanted` jobs. */
inline walk() {
    j = 0;
    do
    :: j < JOBS && wanted > 0 ->
        d_step {
            if
            :: skipped & BIT(j)
            :: else ->
                if
                :: seen[j] != queued -> scanned = scanned | BIT(j)
                :: seen[j] == queued && !(stale[me] & BIT(j)) && !(held & BIT(j)) ->
                    held = held | BIT(j); own = own | BIT(j); scanned = scanned | BIT(j); wanted--
                :: else -> /* another transaction has the job, or has had it since the snapshot */
#ifndef LEAVES_BUSY
                    is_empty = false;
#endif
#ifdef RANGES_OVER_BUSY
                    scanned = scanned | BIT(j);
#endif
                    skip
                fi
            fi;
            is_empty = is_empty && wanted > 0;
            j++
        }
    :: else -> break
    od
}

inline settle() {
    d_step {
#ifndef RANGES_OF_OLD_CLAIMS
        scanned = (since[me].too_many -> 0 : scanned);
#endif
        ranges = ranges | scanned;
#ifdef RANGES_OF_OLD_CLAIMS
        ranges = ranges & ~last_change;
#elif !defined(RANGES_UNCHECKED)
        ranges = ranges & ~since[me].places;
#endif
#ifdef LEAVES_UNCHECKED
        in_ring = in_ring && !is_empty;
#else
        in_ring = in_ring && !(is_empty && !since[me].any);
#endif
        since[me].counts = false; since[me].any = false; since[me].too_many = false; since[me].places = 0
    }
}

inline forget() {
    d_step {
        for (k : 0 .. JOBS - 1) {
            seen[k] = none
        }
        stale[me] = 0; skipped = 0; scanned = 0; own = 0; wanted = 0; j = 0; is_empty = false
    }
}

inline claim() {
#ifndef CLOCK_AFTER_SNAPSHOT
    read_clock();
#endif
    take_snapshot();
#ifdef CLOCK_AFTER_SNAPSHOT
    read_clock();
#endif
    d_step { skipped = ranges; is_empty = in_ring; wanted = (in_ring -> 1 : 0) }
    if
    :: wanted = wanted * JOBS
    :: true
    fi;
    walk();
    settle()
}

/* A worker: a claim, and then a transaction that ends its jobs. */
proctype Worker(byte me; byte rounds) {
    mtype seen[JOBS];
    byte skipped, scanned, own, wanted, j;
    bool is_empty;

    do
    :: rounds > 0 ->
        rounds--;
        claim();
        if
        :: own == 0
        :: else
        fi;
        if
        :: roll_back_rows(own);
#ifndef WITHOUT_ENTRY_AT_ROLLBACK
            enter(own);
#endif
            goto ended
        :: commit_rows(own, locked)
        fi;
        if
        :: own == 0 /* or the worker is never heard of again, and a later release puts the jobs back */
        :: own != 0 -> commit_rows(own, gone)
        :: own != 0 ->
#ifdef ENTRY_BEFORE_VISIBLE
            enter(own);
#endif
            commit_rows(own, queued);
#if !defined(WITHOUT_ENTRY_AT_COMMIT) && !defined(ENTRY_BEFORE_VISIBLE)
            enter(own)
#endif
        fi;
ended:
        skip;
        forget()
    :: else -> break
    od;
    at_work--
}

/* Enqueues a job behind the others; or writes it directly to the table. */
proctype Producer() {
#ifdef ENTRY_BEFORE_VISIBLE
    enter(BIT(JOBS - 1));
#endif
    commit_rows(BIT(JOBS - 1), queued);
#if !defined(WITHOUT_ENTRY_AT_COMMIT) && !defined(ENTRY_BEFORE_VISIBLE) && !defined(DIRECT)
    enter(BIT(JOBS - 1));
#endif
    at_work--
}

/* A transaction that locks the first job while it is queued, and gives it back without telling the ring. */
proctype Canceller() {
    if
    :: d_step { status[0] == queued && !(held & BIT(0)) -> held = held | BIT(0) };
        roll_back_rows(BIT(0))
    :: true
    fi;
    at_work--
}

inline make_ranges() {
    d_step {
#ifdef CLEARS_UNCHECKED
        ranges = ranges | scanned;
#else
        ranges = (since[me].too_many -> ranges : (ranges | scanned) & ~since[me].places);
#endif
        since[me].counts = false; since[me].any = false; since[me].too_many = false; since[me].places = 0
    }
}

/* Deletes the jobs that nobody has locked. */
proctype Clearing() {
    byte me = CLAIMERS;
    byte own, scanned;

    d_step {
        for (k : 0 .. JOBS - 1) {
            own = (status[k] == queued && !(held & BIT(k)) -> own | BIT(k) : own)
        }
        held = held | own
    }
    read_clock();
    d_step { /* its new snapshot, which sees its own deletes */
        for (k : 0 .. JOBS - 1) {
            scanned = ((own & BIT(k)) || status[k] == none || status[k] == gone -> scanned | BIT(k) : scanned)
        }
    }
#ifdef CLEARS_BEFORE_COMMIT
    make_ranges();
#endif
    if
    :: commit_rows(own, gone);
#ifndef CLEARS_BEFORE_COMMIT
        make_ranges()
#endif
    :: roll_back_rows(own)
    fi;
    at_work--
}

/* What the claims do that come later. */
inline rescan() {
    if
    :: !in_ring -> enter(0)
    :: else
    fi;
    for (j : 0 .. JOBS - 1) {
        if
        :: (ranges & BIT(j)) && status[j] == queued -> enter(BIT(j))
        :: else
        fi
    }
}

init {
    byte j;
    atomic {
        status[0] = queued;
        for (j : 1 .. JOBS - 1) {
            status[j] = none
        }
        in_ring = true;
        run Worker(0, ROUNDS);
#if CLAIMERS > 1
        run Worker(1, 1);
#endif
        run Producer();
#ifdef CLEARS
        run Clearing()
#else
        run Canceller()
#endif
    }
    at_work == 0;
#if defined(DIRECT) && !defined(WITHOUT_RESCAN)
    rescan();
#endif
    for (j : 0 .. JOBS - 1) {
        assert(status[j] != queued || (in_ring && !(ranges & BIT(j))))
    }
}
