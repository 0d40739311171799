/* A lease and its token: no two workers hold a job, no job is lost, and none is ended twice.
 *
 * The rules: extension/src/queue/claim.cpp (record), finish.cpp (complete, kComplete), lease.cpp (put_back, kJobsOfLeases,
 * kEndLeases); tables/complete_rows.cpp, tables/leases.cpp (end_lease); docs/architecture.md, "The end of a lease".
 *
 * The model has JOBS jobs and WORKERS workers. A worker claims all queued jobs in one transaction. Then it completes all
 * of them or the first, or is never heard of again. A sweep may find a lease stale at any moment, also while its worker
 * lives: no clock and no network is to be trusted. A step of a process is what PostgreSQL does at one moment: a snapshot,
 * the lock of a row, a commit that becomes visible. Each transaction may roll back. Once, the server may crash and lose
 * the last commit if that was a claim, which need not wait for the disk (fairq.async_claims). Workers outlive it.
 *
 *   token        in the rows of job_live: that of the lease, 0 while the job is queued
 *   ended        the jobs that are in the history. This, and locked, are sets with one bit for each job
 *   locked       the jobs whose rows a transaction in progress has locked
 *   lease, jobs_of_lease, lease_locked    the row of job_leases for each worker's claim: its token, its jobs, and whether
 *                a transaction in progress has locked it
 *   holder       to whom the job was given last, unless it was put back; nobody in the extension knows this
 *
 * Checked: only from its holder a completion of a job is accepted, and a sweep takes a job only from the worker whose
 * lease it ends. When all have ended and the last leases were swept, each job is queued or has ended. Each of these
 * macros takes one rule away, and then the check has to fail:
 *
 * RULE WITHOUT_TOKEN: a completion counts only while the job carries the token of the worker's lease
 * RULE CHECKS_BY_SNAPSHOT: the token counts that the row has when the completion has locked it
 * RULE TOKENS_FROM_SEQUENCE: tokens are random, so that after a crash none comes a second time
 * RULE LEASE_AFTER_CLAIM: the transaction that locks the jobs writes their lease
 * RULE ENDS_LEASE_WITH_JOBS: a sweep leaves the lease if another transaction has locked one of its jobs
 * RULE ENDS_LEASE_IN_PARTS: a completion deletes the lease only if it has completed all its jobs
 * RULE PUTS_BACK_BY_ID: a sweep puts back only jobs that carry the token of the lease
 */
#define JOBS 2
#define WORKERS 2
#define SWEEPS 2
#define BIT(j) (1 << (j))
#define ALL (BIT(JOBS) - 1)
#define NOBODY 15

byte token[JOBS], holder[JOBS];
byte ended, locked;
byte lease[WORKERS], jobs_of_lease[WORKERS];
bool lease_locked[WORKERS];
byte last_token;
byte last_commit = NOBODY; /* the worker, if it was a claim */
byte at_work = WORKERS;
byte i; /* only in d_step */

#define carries(j, w) ((jobs_of_lease[w] & BIT(j)) && token[j] == lease[w])

inline claim() {
    d_step {
        for (i : 0 .. JOBS - 1) {
            mine = (token[i] == 0 && !((ended | locked) & BIT(i)) -> mine | BIT(i) : mine)
        }
        locked = locked | mine;
        last_token = (mine -> last_token + 1 : last_token);
        my_token = (mine -> last_token : 0)
    }
    if
    :: d_step {
            for (i : 0 .. JOBS - 1) {
                if
                :: mine & BIT(i) -> token[i] = my_token; holder[i] = me
                :: else
                fi
            }
            locked = locked & ~mine;
            last_commit = me;
#ifndef LEASE_AFTER_CLAIM
            lease[me] = my_token; jobs_of_lease[me] = mine;
#endif
            skip
        }
    :: d_step { locked = locked & ~mine; mine = 0 } /* a rollback */
    fi
}

/* Locks the job, if the completion may end it. */
inline lock_job(j) {
#ifdef CHECKS_BY_SNAPSHOT
    seen = token[j] == my_token && !(ended & BIT(j));
#endif
    d_step {
        !(locked & BIT(j));
        if
#ifdef WITHOUT_TOKEN
        :: !(ended & BIT(j)) && token[j] != 0 -> accepted = accepted | BIT(j)
#elif defined(CHECKS_BY_SNAPSHOT)
        :: !(ended & BIT(j)) && seen -> accepted = accepted | BIT(j)
#else
        :: !(ended & BIT(j)) && token[j] == my_token -> accepted = accepted | BIT(j)
#endif
        :: else
        fi;
        locked = locked | accepted
    }
}

inline complete(first_only) {
    lock_job(0);
    if
    :: first_only
    :: !(first_only) -> lock_job(1)
    fi;
    d_step { /* SKIP LOCKED: a sweep deletes the lease that it has locked */
        if
#ifdef ENDS_LEASE_IN_PARTS
        :: accepted && lease[me] == my_token && !lease_locked[me] -> ends_lease = true; lease_locked[me] = true
#else
        :: accepted && accepted == jobs_of_lease[me] && lease[me] == my_token && !lease_locked[me] ->
            ends_lease = true; lease_locked[me] = true
#endif
        :: else
        fi
    }
    if
    :: d_step {
            for (i : 0 .. JOBS - 1) {
                assert(!(accepted & BIT(i)) || (holder[i] == me && !(ended & BIT(i))))
            }
            ended = ended | accepted;
            last_commit = (accepted -> NOBODY : last_commit);
            lease[me] = (ends_lease -> 0 : lease[me]);
            jobs_of_lease[me] = (ends_lease -> 0 : jobs_of_lease[me])
        }
    :: true /* a rollback */
    fi;
    d_step {
        locked = locked & ~accepted; lease_locked[me] = lease_locked[me] && !ends_lease;
        accepted = 0; ends_lease = false
    }
}

proctype Worker(byte me) {
    byte mine, my_token, accepted;
    bool ends_lease, seen;

    claim();
#ifdef LEASE_AFTER_CLAIM
    if
    :: mine -> lease[me] = my_token; jobs_of_lease[me] = mine
    :: true /* the worker dies */
    fi;
#endif
    if
    :: mine == 0
    :: mine -> complete(false)
    :: mine -> complete(true)
    :: mine /* it dies */
    fi;
    at_work--
}

/* A stale lease: its jobs that nobody has locked are put back, and it ends unless a job still carries its token. */
inline sweep(w) {
    d_step { lease[w] != 0 && !lease_locked[w] -> lease_locked[w] = true };
    d_step {
        for (i : 0 .. JOBS - 1) {
#ifdef PUTS_BACK_BY_ID
            back = ((jobs_of_lease[w] & BIT(i)) && token[i] != 0 && !((locked | ended) & BIT(i)) -> back | BIT(i) : back)
#else
            back = (carries(i, w) && !((locked | ended) & BIT(i)) -> back | BIT(i) : back)
#endif
        }
        locked = locked | back
    }
    d_step {
        ends = true;
#ifndef ENDS_LEASE_WITH_JOBS
        for (i : 0 .. JOBS - 1) {
            ends = ends && !(carries(i, w) && !((back | ended) & BIT(i)))
        }
#endif
        skip
    }
    if
    :: d_step {
            for (i : 0 .. JOBS - 1) {
                if
                :: back & BIT(i) -> assert(holder[i] == w); token[i] = 0; holder[i] = NOBODY
                :: else
                fi
            }
            last_commit = NOBODY;
            lease[w] = (ends -> 0 : lease[w]);
            jobs_of_lease[w] = (ends -> 0 : jobs_of_lease[w])
        }
    :: true /* a rollback */
    fi;
    d_step { locked = locked & ~back; lease_locked[w] = false; back = 0; ends = false }
}

proctype Sweeper() {
    byte back, n;
    bool ends;

    do
    :: n < SWEEPS -> n++;
        if
        :: sweep(0)
        :: sweep(1)
        :: at_work == 0
        fi
    :: at_work == 0 -> break
    od;
    skip; /* now the sweeps that come when all have ended; none of them rolls back */
    d_step {
        for (n : 0 .. WORKERS - 1) {
            for (i : 0 .. JOBS - 1) {
                if
                :: lease[n] != 0 && carries(i, n) && !(ended & BIT(i)) -> token[i] = 0
                :: else
                fi
            }
        }
    }
    d_step {
        for (i : 0 .. JOBS - 1) {
            assert((ended & BIT(i)) || token[i] == 0)
        }
    }
}

/* The server crashes between two transactions. The last commit is lost if it was a claim and nothing has been flushed
   since, and with it what a sequence has given. */
active proctype Crash() {
    if
    :: true
    :: d_step {
            last_commit != NOBODY && locked == 0 && !lease_locked[0] && !lease_locked[1] ->
            for (i : 0 .. JOBS - 1) {
                if
                :: holder[i] == last_commit && token[i] == lease[last_commit] && !(ended & BIT(i)) ->
                    token[i] = 0; holder[i] = NOBODY
                :: else
                fi
            }
            lease[last_commit] = 0; jobs_of_lease[last_commit] = 0;
#ifdef TOKENS_FROM_SEQUENCE
            last_token--;
#endif
            last_commit = NOBODY
        }
    fi
}

init {
    byte w;
    atomic {
        d_step {
            for (i : 0 .. JOBS - 1) {
                holder[i] = NOBODY
            }
        }
        for (w : 0 .. WORKERS - 1) {
            run Worker(w)
        }
        run Sweeper()
    }
}
