// group_pickup.cpp: jobs come at a steady rate, whatever the workers do (an open model); how long until one
// of the waiting workers has each in hand? And what do they cost while nothing comes?
#include <atomic>
#include <chrono>
#include <fstream>
#include <future>
#include <thread>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "groups.hpp"
#include "work.hpp"

namespace fairq::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr const char *kDatabase = "bench_pickup";
constexpr int kWorkers = 8, kProducers = 4;
constexpr int kRate = 1000;
constexpr std::chrono::milliseconds kPoll{5};
constexpr std::chrono::seconds kFlow{5}, kIdle{5};
constexpr std::chrono::milliseconds kShortFlow{500}, kShortIdle{300};

struct Flow {
    std::atomic<bool> ended{false};
    std::atomic<long long> claimed{0};
    bool waits; ///< by wait_for_jobs
};

/// Lets the workers go home, whatever happens.
struct Ending {
    Flow &flow;
    ~Ending() { flow.ended = true; }
};

long long nanoseconds(Clock::time_point time) {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(time.time_since_epoch()).count();
}

/// Its moment is the one that the plan says, even when it is sent later.
void produce(Connection &producer, std::size_t number, Clock::time_point begin, long long jobs) {
    static const std::string statement = "SELECT enqueue_job($1, 'bench', $2::jsonb)";
    for (long long i = static_cast<long long>(number); i < jobs; i += kProducers) {
        const Clock::time_point moment = begin + std::chrono::microseconds(i * 1'000'000 / kRate);
        std::this_thread::sleep_until(moment);
        producer.query(statement,
                       {fmt::format("tenant-{}", i % 10),
                        fmt::format(R"({{"at": {}, "text": "{:a>165}"}})", nanoseconds(moment), "")});
    }
}

void consume(Connection &worker, Flow &flow, Samples &pickups) {
    static const std::string statement =
        "SELECT id, lock_token, payload ->> 'at' FROM claim_queued_jobs('bench', 50)";
    while (!flow.ended) {
        const Result given = worker.query(statement, {});
        const long long now = nanoseconds(Clock::now());
        Batch batch;
        for (int row = 0; row < given.rows(); ++row) {
            batch.ids.push_back(given.text(row, 0));
            pickups.add(static_cast<double>(now - given.integer(row, 2)) / 1e6);
        }
        flow.claimed += given.rows();
        if (given.rows() > 0)
            fairq_queue().complete(worker, {batch.ids, {}, given.text(0, 1)});
        else if (flow.waits)
            worker.run("CALL wait_for_jobs('1 second')");
        else
            std::this_thread::sleep_for(kPoll);
    }
}

/// Processor seconds that these backends have had.
double processor_seconds(const std::vector<long long> &pids) {
    long long ticks = 0;
    for (const long long pid : pids) {
        std::ifstream stat(fmt::format("/proc/{}/stat", pid));
        std::string field;
        std::getline(stat, field, ')');
        for (int i = 3; i <= 13; ++i)
            stat >> field;
        long long user = 0, system = 0;
        stat >> user >> system;
        ticks += user + system;
    }
    return static_cast<double>(ticks) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

struct Way {
    bool waits, judged;
    Samples p50{}, p99{}, worst{}, idle_percent{};
    std::string name() const {
        return waits ? "wait_for_jobs" : fmt::format("polling every {} ms", kPoll.count());
    }
};

void drive(Way &way, const Size &size) {
    const auto flow_for = size.quick ? kShortFlow : std::chrono::milliseconds(kFlow);
    const auto idle_for = size.quick ? kShortIdle : std::chrono::milliseconds(kIdle);
    const long long jobs = flow_for.count() * kRate / 1000;
    const Connections workers = connect(kDatabase, kWorkers, true),
                      producers = connect(kDatabase, kProducers, true);
    std::vector<long long> pids;
    for (const auto &worker : workers)
        pids.push_back(worker->run("SELECT pg_backend_pid()").integer());
    Flow flow;
    flow.waits = way.waits;
    std::vector<Samples> pickups(kWorkers);
    std::future<double> consumers = std::async(std::launch::async, [&] {
        return in_parallel(workers,
                           [&](Connection &worker, std::size_t i) { consume(worker, flow, pickups[i]); });
    });
    const Ending ending{flow};
    const Clock::time_point begin = Clock::now() + std::chrono::milliseconds(100);
    in_parallel(producers, [&](Connection &producer, std::size_t i) { produce(producer, i, begin, jobs); });
    while (flow.claimed < jobs && Clock::now() < begin + flow_for + std::chrono::seconds(10))
        std::this_thread::sleep_for(kPoll);
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    const double busy = processor_seconds(pids);
    const Stopwatch idle;
    std::this_thread::sleep_for(idle_for);
    way.idle_percent.add(100 * (processor_seconds(pids) - busy) / idle.seconds());
    flow.ended = true;
    consumers.get();
    if (flow.claimed != jobs)
        throw std::runtime_error(
            fmt::format("pickup: {} of {} jobs were claimed", flow.claimed.load(), jobs));
    Samples all;
    for (const Samples &each : pickups)
        all.add(each);
    way.p50.add(all.median());
    way.p99.add(all.percentile(99));
    way.worst.add(all.most());
}

Fields row(Report &report, const Way &way) {
    const auto target = [&](const char *what, const Samples &samples, double most) {
        return way.judged ? report.target(fmt::format("pickup, {}: {}", way.name(), what), samples.median(),
                                          at_most(most))
                          : "";
    };
    return {{"workers wait by", way.name()},
            {"p50 ms", figure(way.p50, 2)},
            {"target", target("p50 ms", way.p50, 5)},
            {"p99 ms", figure(way.p99, 2)},
            {"target ", target("p99 ms", way.p99, 25)},
            {"worst ms", figure(way.worst, 1)},
            {"idle, % of a core", figure(way.idle_percent, 2)},
            {"target  ", target("idle, % of a core", way.idle_percent, 2)}};
}

std::vector<Way> ways() {
    Connection connection(kDatabase);
    if (has_function(connection, "wait_for_jobs"))
        return {{true, true}, {false, false}};
    return {{false, true}};
}

} // namespace

void measure_pickup(Report &report, const Size &size) {
    make_database(kDatabase);
    std::vector<Way> all = ways();
    for (int round = 0; round < size.rounds; ++round)
        for (Way &way : all)
            drive(way, size);
    std::vector<Fields> rows;
    for (const Way &way : all)
        rows.push_back(row(report, way));
    report.table(
        "pickup",
        fmt::format("{} jobs/s at a steady pace from {} sessions, {} workers, synchronous commits; from the "
                    "planned moment until a worker has the job; idle: the workers' backends together",
                    kRate, kProducers, kWorkers),
        rows);
    drop_database(kDatabase);
}

} // namespace fairq::bench
