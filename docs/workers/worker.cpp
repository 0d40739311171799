// A worker for fairq, to copy: put your handlers into kHandlers.
//     g++ -std=c++17 -O2 worker.cpp -o worker -lpqxx -lpq -pthread      libpqxx 6 or 7
//     ./worker "host=/run/postgresql dbname=shop" [name]                PGHOST, PGDATABASE and so on count, too
// It claims a batch, runs one job after the other, and completes each job in the transaction of its effect: what a handler
// writes through `db` is there exactly once. What it does elsewhere (a mail, a payment) may happen twice, when the worker
// dies in between: give the other side the job's id as an idempotency key. On SIGTERM or SIGINT the worker finishes the
// job that runs, gives the others back, and exits with 0. (It notices a signal during a wait when the wait ends: 5 s.)
#include <atomic>
#include <chrono>
#include <csignal>
#include <functional>
#include <iostream>
#include <map>
#include <thread>

#include <pqxx/pqxx>
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr int kBatch = 10;
constexpr auto kHeartbeat = 10s; // fairq.lease_timeout is 30 seconds, so that one heartbeat may get lost
constexpr long kTimeout = 300;   // seconds, for jobs that have no timeout of their own
std::atomic<bool> stopping{false};
std::atomic<int> left{0};            // jobs of the batch that have not ended yet
std::atomic<bool> lease_lost{false}; // or a job of the batch was cancelled: perhaps the one that runs

struct Job { // of job_queue; payload is JSON
    long long id, token;
    std::string tenant, type, payload;
    Clock::time_point end; // a handler that runs for long asks over() now and then, and gives up by an exception
    bool over() const { return lease_lost || Clock::now() > end; }
};

void charge(pqxx::work &db, const Job &job) {
    db.exec_params("INSERT INTO charges (job_id, tenant_id, cents) VALUES ($1, $2, ($3::jsonb ->> 'cents')::int)", job.id,
                   job.tenant, job.payload);
}

const std::map<std::string, std::function<void(pqxx::work &, const Job &)>> kHandlers{{"charge", charge}};

void beat(const std::string &conninfo, long long token, const std::atomic<bool> &ended) {
    for (auto next = Clock::now() + kHeartbeat; !ended; std::this_thread::sleep_for(50ms)) {
        if (Clock::now() < next)
            continue;
        next += kHeartbeat;
        try {
            pqxx::connection connection(conninfo);
            pqxx::nontransaction now(connection);
            if (now.exec_params("SELECT heartbeat_jobs($1)", token)[0][0].as<int>() < left)
                lease_lost = true;
        } catch (const std::exception &) {} // if the server is gone, the main thread tells
    }
}

void give_up(pqxx::connection &queue, const Job &job, const std::string &error) try {
    pqxx::nontransaction now(queue);
    if (lease_lost) // or another job of the batch was cancelled, so that this one may still be held: it loses no attempt
        now.exec_params("SELECT release_jobs(ARRAY[$1::bigint], $2)", job.id, job.token);
    else
        now.exec_params("SELECT fail_job($1, $2, $3)", job.id, job.token, error);
} catch (const pqxx::sql_error &refused) {
    if (refused.sqlstate().rfind("JQ", 0) != 0) // JQ001, JQ004: the lease is lost, or the job has ended
        throw;
}

void run(pqxx::connection &queue, pqxx::connection &connection, const Job &job, long timeout) try {
    pqxx::work db(connection);
    db.exec_params("SELECT set_config('statement_timeout', $1, true)", std::to_string(timeout) + "s");
    kHandlers.at(job.type)(db, job);
    --left;
    lease_lost = db.exec_params("SELECT complete_jobs(ARRAY[$1::bigint], $2)", job.id, job.token).empty();
    if (lease_lost) // takes the effect back: the job runs elsewhere, or was cancelled
        throw std::runtime_error("the lease is lost");
    db.commit();
} catch (const pqxx::broken_connection &) {
    throw;
} catch (const std::exception &error) {
    give_up(queue, job, error.what());
}

void work(const std::string &conninfo, const std::string &name, pqxx::connection &queue, pqxx::connection &db) {
    auto const rows = pqxx::nontransaction(queue).exec_params(
        "SELECT id, lock_token, tenant_id, job_type, payload, coalesce(extract(epoch FROM timeout), $3)::bigint"
        "  FROM claim_queued_jobs($1, $2)", name, kBatch, kTimeout);
    if (rows.empty()) {
        pqxx::nontransaction(queue).exec("CALL wait_for_jobs('5 seconds')");
        return;
    }
    std::atomic<bool> ended{false};
    left = static_cast<int>(rows.size());
    struct Heart { // ends the thread, whatever happens
        std::atomic<bool> &ended;
        std::thread thread;
        ~Heart() { ended = true, thread.join(); }
    } heart{ended, std::thread(beat, conninfo, rows[0][1].as<long long>(), std::cref(ended))};
    for (auto const &row : rows) {
        left = static_cast<int>(rows.size() - row.rownumber()), lease_lost = false;
        long const timeout = row[5].as<long>();
        Job const job{row[0].as<long long>(), row[1].as<long long>(), row[2].c_str(), row[3].c_str(), row[4].c_str(),
                      Clock::now() + std::chrono::seconds(timeout)};
        if (stopping)
            pqxx::nontransaction(queue).exec_params("SELECT release_jobs(ARRAY[$1::bigint], $2)", job.id, job.token);
        else
            run(queue, db, job, timeout);
    }
}

int main(int count, char **arguments) {
    std::string const conninfo = count > 1 ? arguments[1] : "", name = count > 2 ? arguments[2] : "worker";
    for (int number : {SIGTERM, SIGINT})
        std::signal(number, [](int) { stopping = true; });
    for (int delay = 1; !stopping; delay = std::min(2 * delay, 30)) try {
        for (pqxx::connection queue(conninfo), db(conninfo); !stopping; delay = 1)
            work(conninfo, name, queue, db);
    } catch (const std::exception &error) { // jobs that it held come back when their lease ends
        std::cerr << "next try in " << delay << " s: " << error.what() << std::endl;
        for (auto const until = Clock::now() + std::chrono::seconds(delay); Clock::now() < until && !stopping;)
            std::this_thread::sleep_for(50ms);
    }
}
