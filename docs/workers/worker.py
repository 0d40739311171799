#!/usr/bin/env python3
"""A worker for fairq, to copy: put your handlers into HANDLERS.

    worker.py "host=/run/postgresql dbname=shop" [name]      psycopg 3; PGHOST, PGDATABASE and so on count, too

It claims a batch, runs one job after the other, and completes each job in the transaction of its effect: what a handler
writes through `db` is there exactly once. What it does elsewhere (a mail, a payment) may happen twice, when the worker
dies in between: give the other side the job's id as an idempotency key. On SIGTERM or SIGINT the worker finishes the
job that runs, gives the others back, and exits with 0.
"""
import contextlib, os, random, signal, socket, sys, threading, time
import psycopg
from psycopg.rows import namedtuple_row
BATCH = 10
HEARTBEAT = 10  # seconds; fairq.lease_timeout is 30 seconds, so that one heartbeat may get lost
TIMEOUT = 300   # seconds, for jobs that have no timeout of their own


def charge(db, job):
    db.execute("INSERT INTO charges (job_id, tenant_id, cents) VALUES (%s, %s, %s)",
               (job.id, job.tenant_id, job.payload["cents"]))


HANDLERS = {"charge": charge}  # job_type → function of a connection (in a transaction) and a row of job_queue


# For these psycopg cancels the statement that runs, because they are KeyboardInterrupts.
class Stop(KeyboardInterrupt): """The worker was told to end while it waited for jobs."""
class TimeIsOver(KeyboardInterrupt): """The job ran longer than its timeout."""
class LeaseLost(KeyboardInterrupt): """The lease has ended, or a job of the batch was cancelled: perhaps the one that runs."""


class Worker:
    def __init__(self, conninfo, name):
        self.conninfo, self.name, self.delay = conninfo, name, 1
        self.stopping = self.waiting = self.running = False

    def connect(self):  # prepare_threshold: a pooler in transaction mode does not keep prepared statements
        return psycopg.connect(self.conninfo, autocommit=True, prepare_threshold=None, row_factory=namedtuple_row)

    def run(self):
        for number in signal.SIGTERM, signal.SIGINT, signal.SIGALRM, signal.SIGUSR1:
            signal.signal(number, self.on_signal)
        while not self.stopping:
            try:
                with self.connect() as queue, self.connect() as db:
                    while not self.stopping:
                        self.work(queue, db)
            except Stop: pass
            except psycopg.OperationalError as error:  # jobs that it held come back when their lease ends
                print(f"no connection, next try in {self.delay} s at most: {error}", file=sys.stderr)
                until = time.monotonic() + random.uniform(0.1, self.delay)
                while time.monotonic() < until and not self.stopping:
                    time.sleep(0.1)
                self.delay = min(2 * self.delay, 30)

    def work(self, queue, db):
        jobs = queue.execute("SELECT * FROM claim_queued_jobs(%s, %s)", (self.name, BATCH)).fetchall()
        self.delay = 1
        if jobs:
            left, ended = {job.id for job in jobs}, threading.Event()
            threading.Thread(target=self.beat, args=(jobs[0].lock_token, left, ended), daemon=True).start()
            try:
                for job in jobs:
                    if self.stopping:
                        queue.execute("SELECT release_jobs(%s, %s)", (list(left), job.lock_token))
                        return
                    self.run_job(queue, db, job, left)
            finally:
                ended.set()
        if len(jobs) < BATCH and not self.stopping:
            self.waiting = True
            queue.execute("CALL wait_for_jobs('30 seconds')")
            self.waiting = False

    def run_job(self, queue, db, job, left):
        try:
            with db.transaction():
                signal.setitimer(signal.ITIMER_REAL, job.timeout.total_seconds() if job.timeout else TIMEOUT)
                self.running = True
                HANDLERS[job.job_type](db, job)
                self.running = False
                left.discard(job.id)
                if not db.execute("SELECT complete_jobs(%s, %s)", ([job.id], job.lock_token)).fetchall():
                    raise LeaseLost  # takes the effect back: the job runs elsewhere, or was cancelled
        except LeaseLost:
            queue.execute("SELECT release_jobs(%s, %s)", ([job.id], job.lock_token))  # if it still holds the job
        except (Exception, TimeIsOver) as error:
            if db.broken:
                raise
            self.fail(queue, job, error)
        finally:
            self.running = False
            left.discard(job.id)

    def fail(self, queue, job, error):
        try:
            queue.execute("SELECT fail_job(%s, %s, %s)", (job.id, job.lock_token, f"{type(error).__name__}: {error}"))
        except psycopg.DatabaseError as refused:  # JQ001, JQ004: the lease is lost, or the job has ended
            if not (refused.sqlstate or "").startswith("JQ"):
                raise
            print(f"job {job.id}: {refused}", file=sys.stderr)

    def beat(self, token, left, ended):
        """In a thread, with a connection of its own, because a handler may take long. `left`: the jobs not yet ended."""
        while not ended.wait(HEARTBEAT):
            with contextlib.suppress(psycopg.OperationalError), self.connect() as heart:  # the main thread tells of it
                if heart.execute("SELECT heartbeat_jobs(%s)", (token,)).fetchone()[0] < len(left):
                    os.kill(os.getpid(), signal.SIGUSR1)

    def on_signal(self, number, frame):
        self.stopping = self.stopping or number in (signal.SIGTERM, signal.SIGINT)
        if self.stopping and self.waiting:
            raise Stop
        if self.running and number in (signal.SIGALRM, signal.SIGUSR1):
            raise TimeIsOver if number == signal.SIGALRM else LeaseLost


if __name__ == "__main__":
    Worker(sys.argv[1] if len(sys.argv) > 1 else "", sys.argv[2] if len(sys.argv) > 2 else socket.gethostname()).run()
