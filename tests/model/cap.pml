/* A cap: no tenant runs more jobs than its max_concurrency, also when it gets the cap while claims are under way.
 *
 * The rules: extension/src/queue/limit_check.cpp (acquire, judge, prepare, kMarkRunning, kEndCapPending), claim.cpp
 * (mark_newly_capped), limits.cpp (kSetLimits); tables/tenant_lock.cpp and tables/limit_lookups.cpp.
 *
 * The model has one tenant, which gets a cap of CAP jobs at some moment, and SESSIONS sessions. Each claims up to ROUNDS
 * times, one transaction each, until it has a job, and may then complete it. A transaction may find no job, and may roll
 * back. A step of a process is what PostgreSQL does at one moment: a snapshot, a lock, a commit that becomes visible,
 * an invalidation that is sent. A set of jobs or of transactions has one bit for each session.
 *
 *   cap, pending     the tenant's row: whether it has the cap; cap_pending_since, which is NULL (settled), `0`, or says
 *                    which transactions have to end (noted, wait_for)
 *   told             the sessions that were told that the row has changed, and will read it anew
 *   has_xid          the transactions that have written, so that a new snapshot knows them
 *   counted, uncounted   the running jobs as committed, with and without running_since
 *   locked           the jobs whose rows a transaction has locked, to mark or to complete them
 *   free             the running jobs that were claimed without the cap; nobody in the extension knows this set
 *
 * The rule that is checked at each commit of a claim that began when the cap was in force: the running jobs are not more
 * than CAP. Of the free ones only those count that were committed when the claim began. Each of these macros takes one
 * rule away, and then the check has to find a cap that is exceeded:
 *
 * RULE WITHOUT_TENANT_LOCK: a claim counts and takes jobs under the tenant's lock
 * RULE UNLOCKS_BEFORE_COMMIT: it has the lock until its commit is visible
 * RULE COUNTS_BY_OLD_SNAPSHOT: it counts by a snapshot that it takes under the lock
 * RULE WITHOUT_PENDING: a new cap is pending at first, and claims mark the jobs that run already, to count them
 * RULE PENDING_ENDS_AT_ONCE -DSESSIONS=2 -DROUNDS=3: until all have ended that may have claimed without it
 * RULE WITHOUT_MARKING_OWN -DSESSIONS=2 -DROUNDS=3: a claim without a cap looks again for one at its end
 * RULE LEAVES_OUT_LOCKED -DSESSIONS=2: a job that cannot be marked, because another transaction has locked it, counts
 * HOLDS -DSESSIONS=2 -DROUNDS=3
 * DEEP -DROUNDS=2
 */
#define CAP 1
#ifndef SESSIONS
#define SESSIONS 3
#endif
#ifndef ROUNDS
#define ROUNDS 1
#endif
#define BIT(j) (1 << (j))
#define ME BIT(me)
#define number(set) (((set) & 1) + (((set) >> 1) & 1) + (((set) >> 2) & 1))

mtype = { settled, zero, noted };
bool cap, in_force, tenant_lock;
mtype pending = settled;
byte told, has_xid, wait_for, counted, uncounted, locked, free;

/* set_tenant_limits by an administrator. */
active proctype Administrator() {
    d_step {
        cap = true;
#ifndef WITHOUT_PENDING
        pending = zero;
#endif
        skip
    }
    told = BIT(SESSIONS) - 1;
    in_force = true
}

inline read_limits() {
    d_step {
        if
        :: told & ME -> my_cap = cap; my_pending = pending != settled; told = told & ~(ME)
        :: else
        fi
    }
}

/* Marks the jobs that nobody has locked, and notes which transactions have to end, or that they have ended. All this
   is committed with the claim. */
inline prepare() {
    d_step {
        marks = uncounted & ~locked;
        locked = locked | marks;
#ifndef LEAVES_OUT_LOCKED
        left = uncounted & ~marks;
#endif
        if
#ifndef PENDING_ENDS_AT_ONCE
        :: pending == zero -> my_change = noted; my_wait_for = has_xid
        :: pending == noted && (wait_for & has_xid) == 0 && uncounted == marks -> my_change = settled
#else
        :: uncounted == marks -> my_change = settled
#endif
        :: else -> my_change = pending; my_wait_for = wait_for
        fi;
        has_xid = has_xid | ME
    }
}

inline commit() {
    d_step {
        uncounted = uncounted & ~marks;
        counted = counted | marks;
        locked = locked & ~marks;
        if
        :: took && counts -> counted = counted | ME
        :: took && !counts -> uncounted = uncounted | ME
        :: else
        fi;
        free = (took && !by_cap -> free | ME : free);
        has_xid = has_xid & ~(ME);
        if
        :: my_change != 0 -> pending = my_change; wait_for = my_wait_for; told = BIT(SESSIONS) - 1
        :: else
        fi;
        assert(!(obliged && took) || number(((counted | uncounted) & ~free) | (free & free_before) | ME) <= CAP)
    }
}

inline roll_back() {
    d_step { locked = locked & ~marks; has_xid = has_xid & ~(ME); took = false }
}

inline claim() {
    d_step { obliged = in_force; free_before = free };
    old_snapshot = number(counted);
    read_limits();
    if
    :: my_cap ->
#ifdef WITHOUT_TENANT_LOCK
        skip;
#else
        if
        :: d_step { !tenant_lock -> tenant_lock = true; lock = true }
        :: tenant_lock -> goto ended
        fi;
#endif
        if
        :: my_pending -> prepare()
        :: else
        fi;
        if
#ifdef COUNTS_BY_OLD_SNAPSHOT
        :: d_step { old_snapshot + number(left) < CAP -> took = true }
#else
        :: d_step { number(counted | marks | left) < CAP -> took = true }
#endif
            by_cap = true; counts = true
        :: true /* the lane has no job, or the tenant is at its cap */
        fi
    :: !my_cap -> took = true
    fi;
    if
    :: took ->
        has_xid = has_xid | ME;
#ifndef WITHOUT_MARKING_OWN
        read_limits();
        counts = counts || my_cap;
#endif
        skip
    :: else
    fi;
#ifdef UNLOCKS_BEFORE_COMMIT
    d_step { tenant_lock = tenant_lock && !lock; lock = false };
#endif
    if
    :: commit()
    :: roll_back()
    fi;
ended:
    skip;
    d_step {
        tenant_lock = tenant_lock && !lock; lock = false;
        marks = 0; left = 0; old_snapshot = 0; my_change = 0; my_wait_for = 0; obliged = false; free_before = 0;
        by_cap = false; counts = false
    }
}

inline complete() {
    d_step { !(locked & ME) -> locked = locked | ME };
    if
    :: d_step { counted = counted & ~(ME); uncounted = uncounted & ~(ME); free = free & ~(ME); locked = locked & ~(ME) }
    :: locked = locked & ~(ME) /* a rollback */
    fi
}

proctype Session(byte me) {
    byte round, marks, left, free_before, my_wait_for, old_snapshot;
    bool my_cap, my_pending, obliged, lock, took, by_cap, counts;
    mtype my_change;

    do
    :: round < ROUNDS && !took -> round++; claim()
    :: else -> break
    od;
    if
    :: took -> complete()
    :: true
    fi
}

init {
    byte i;
    atomic {
        for (i : 0 .. SESSIONS - 1) {
            run Session(i)
        }
    }
}
