#!/usr/bin/env node
// A worker for fairq, to copy: put your handlers into `handlers`.
//     node worker.mjs "postgresql:///shop?host=/run/postgresql" [name]      package pg; PGHOST, PGDATABASE … count, too
// It claims a batch, runs one job after the other, and completes each job in the transaction of its effect: what a handler
// writes through `db` is there exactly once. What it does elsewhere (a mail, a payment) may happen twice, when the worker
// dies in between: give the other side the job's id as an idempotency key. On SIGTERM or SIGINT the worker finishes the
// job that runs, gives the others back, and exits with 0.
import os from 'node:os';
import pg from 'pg';

const BATCH = 10;
const HEARTBEAT = 10_000; // ms; fairq.lease_timeout is 30 seconds, so that one heartbeat may get lost
const TIMEOUT = 300;      // seconds, for jobs that have no timeout of their own
const [conninfo, name = os.hostname()] = process.argv.slice(2);

// job_type → function of a client (in a transaction), a row of job_queue, and a signal that says when to give up: hand it
// to everything that takes one (fetch, for example). Ids and tokens are strings: a number could not hold all their digits.
const handlers = {
    async charge(db, job, signal) {
        await db.query('INSERT INTO charges (job_id, tenant_id, cents) VALUES ($1, $2, $3)',
            [job.id, job.tenant_id, job.payload.cents]);
    },
};

class LeaseLost extends Error {}
class TimeIsOver extends Error {}
let queue, db;     // one connection claims, waits and gives back; the other has the effects and the completions
let waiting = false, stopping = false;
let interrupt = null; // ends the job that runs

async function connect() {
    const client = new pg.Client(conninfo ? { connectionString: conninfo } : {});
    client.on('error', () => {}); // the next query fails, and tells
    await client.connect();
    return client;
}

async function work() {
    const { rows: jobs } = await queue.query(`SELECT *, extract(epoch FROM timeout)::float8 AS seconds
                                                FROM claim_queued_jobs($1, $2)`, [name, BATCH]);
    const left = new Set(jobs.map((job) => job.id)); // those that have not ended yet
    const beat = setInterval(heartbeat, HEARTBEAT, jobs[0]?.lock_token, left);
    try {
        for (const job of jobs) {
            if (stopping) {
                await queue.query('SELECT release_jobs($1, $2)', [[...left], job.lock_token]);
                return;
            }
            await run(job, left);
        }
    } finally {
        clearInterval(beat);
    }
    waiting = jobs.length < BATCH && !stopping;
    if (waiting) await queue.query("CALL wait_for_jobs('30 seconds')");
    waiting = false;
}

async function run(job, left) {
    const control = new AbortController();
    const interrupted = new Promise((_, reject) => {
        interrupt = (error) => { control.abort(error); reject(error); };
    });
    const timer = setTimeout(interrupt, 1000 * (job.seconds ?? TIMEOUT), new TimeIsOver('the time of the job is over'));
    try {
        if (!(job.job_type in handlers)) throw new Error(`this worker has no handler for ${job.job_type}`);
        await db.query('BEGIN');
        await Promise.race([handlers[job.job_type](db, job, control.signal), interrupted]);
        left.delete(job.id);
        const done = await db.query('SELECT complete_jobs($1, $2)', [[job.id], job.lock_token]);
        if (done.rowCount === 0) throw new LeaseLost(); // takes the effect back: the job runs elsewhere, or was cancelled
        await db.query('COMMIT');
    } catch (error) {
        await after(error, job, control.signal.aborted);
    } finally {
        left.delete(job.id);
        clearTimeout(timer);
        interrupt = null;
    }
}

async function after(error, job, interrupted) {
    if (interrupted) { // the handler may go on: it must not write into the transaction of another job
        db.connection.stream.destroy();
        db = await connect();
    }
    await db.query('ROLLBACK'); // fails when the connection is broken: what follows is done by the next worker
    if (error instanceof LeaseLost) // or a job of the batch was cancelled, perhaps not this one: it may still hold it
        return queue.query('SELECT release_jobs($1, $2)', [[job.id], job.lock_token]);
    return queue.query('SELECT fail_job($1, $2, $3)', [job.id, job.lock_token, String(error)]).catch((refused) => {
        if (!refused.code?.startsWith('JQ')) throw refused; // JQ001, JQ004: the lease is lost, or the job has ended
    });
}

async function heartbeat(token, left) { // with a connection of its own, because the others may be busy
    const heart = await connect().catch(() => null); // if the server is gone, the main loop tells
    const held = await heart?.query('SELECT heartbeat_jobs($1) AS jobs', [token]).catch(() => null);
    await heart?.end().catch(() => {});
    if (held && held.rows[0].jobs < left.size) interrupt?.(new LeaseLost());
}

function stop() {
    stopping = true;
    if (waiting) queue.connection.stream.destroy();
}
process.on('SIGTERM', stop).on('SIGINT', stop);

for (let delay = 1; !stopping;) {
    try {
        [queue, db] = [await connect(), await connect()];
        for (; !stopping; delay = 1) await work();
    } catch (error) { // jobs that it held come back when their lease ends
        if (stopping) break;
        for (const client of [queue, db]) client?.end().catch(() => {});
        console.error(`next try in ${delay} s at most: ${error.message}`);
        await new Promise((resolve) => setTimeout(resolve, 1000 * (0.1 + Math.random() * delay)));
        delay = Math.min(2 * delay, 30);
    }
}
process.exit(0);
