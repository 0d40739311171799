// worker_children.cpp: see worker_children.hpp.
#include "actors/worker_children.hpp"

#include <algorithm>
#include <csignal>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "actors/external_workers.hpp"
#include "actors/worker_child.hpp"
#include "fault/piped_child.hpp"
#include "interrupt.hpp"

namespace fairq::driver::actors {
namespace {

using Clock = std::chrono::steady_clock;
using nlohmann::json;

constexpr Milliseconds kNap{50};
constexpr Milliseconds kComesAgainAfter{100};
constexpr Milliseconds kGoesWithin{5'000};
constexpr Milliseconds kGoesAtOnce{500};

/// However its time ends: before its pid is given back, no fault knows it any more.
struct Leaves {
    fault::WorkerPool &pool;
    fault::WorkerPool::Id id;
    ~Leaves() { pool.ended(id, 0); }
};

} // namespace

/// What one process has told so far. Its lines come on one thread, and a fault may make it forget on another.
class WorkerChildren::OneChild {
public:
    OneChild(WorkerFigures &figures, std::size_t number) : figures_(figures), number_(number) {}

    void take(const std::string &line) {
        const json event = json::parse(line, nullptr, false);
        const std::string kind = event.is_object() ? event.value("e", "") : "";
        if (kind == "time")
            figures_.time(event.at("metric"), event.at("us"));
        else if (kind == "count")
            figures_.count(event.at("metric"), event.at("more"));
        else if (kind == "hold")
            hold(job_of(event));
        else if (kind == "let_go")
            let_go(event.at("id"));
        else if (kind == "completing")
            completing_ = event.at("ids").get<std::vector<long long>>();
        else if (kind == "completion")
            completion(event);
        else if (kind == "worked")
            figures_.worked(number_, event.at("jobs"));
        else if (kind == "met")
            met(event);
    }

    int holds() {
        const std::lock_guard<std::mutex> lock(mutex_);
        return static_cast<int>(held_.size());
    }

    void forget() {
        const std::lock_guard<std::mutex> lock(mutex_);
        for (const ClaimedJob &job : held_)
            figures_.orphan(job);
        held_.clear();
    }

    /// What was on its way when it ended was accepted, or was not.
    void ended() {
        forget();
        if (!completing_.empty())
            figures_.completion(completing_, judge::Event::completion_unknown);
    }

private:
    static ClaimedJob job_of(const json &event) {
        ClaimedJob job;
        job.id = event.at("id");
        job.tenant = event.at("tenant");
        job.key = event.at("key");
        return job;
    }

    void hold(const ClaimedJob &job) {
        const std::lock_guard<std::mutex> lock(mutex_);
        held_.push_back(job);
        figures_.hold(job);
    }

    void let_go(long long id) {
        const std::lock_guard<std::mutex> lock(mutex_);
        const auto found =
            std::find_if(held_.begin(), held_.end(), [&](const ClaimedJob &job) { return job.id == id; });
        if (found == held_.end())
            return; // it was forgotten
        figures_.let_go(*found);
        held_.erase(found);
    }

    void met(const json &event) {
        const std::string what = event.at("what");
        if (event.contains("sqlstate"))
            figures_.met(db::DatabaseError(what, event.at("sqlstate"), false));
        else
            figures_.met(std::runtime_error(what));
    }

    void completion(const json &event) {
        completing_.clear();
        figures_.completion(event.at("ids").get<std::vector<long long>>(),
                            event.at("unknown").get<bool>() ? judge::Event::completion_unknown
                                                            : judge::Event::completed);
    }

    WorkerFigures &figures_;
    const std::size_t number_;
    std::vector<long long> completing_;
    std::mutex mutex_; // of what follows
    std::vector<ClaimedJob> held_;
};

WorkerChildren::WorkerChildren(const plan::ExternalWorkersActor &actor, const Stage &stage)
    : actor_(actor), stage_(stage),
      figures_(actor.name, static_cast<std::size_t>(actor.workers), stage.journal) {
    figures_.count("worker_deaths", 0);
    for (int number = 0; number < actor.workers; ++number)
        threads_.emplace_back([this, number] { loop(number); });
}

WorkerChildren::~WorkerChildren() {
    stopping_ = true;
    for (std::thread &thread : threads_)
        if (thread.joinable())
            thread.join();
}

void WorkerChildren::loop(int number) {
    while (!stopping_) {
        try {
            run_one(number);
        } catch (const std::exception &error) {
            figures_.met(error);
        }
        if (!stopping_)
            std::this_thread::sleep_for(kComesAgainAfter);
    }
}

void WorkerChildren::run_one(int number) {
    OneChild told(figures_, static_cast<std::size_t>(number));
    fault::PipedChild child({fault::own_binary(), "worker"});
    fault::WorkerPool &pool = *stage_.pool;
    const auto id =
        pool.add({child.pid(), [&](const std::string &line) { child.send(line); }, [&] { told.forget(); }});
    const Leaves leaves{pool, id};
    child.send(orders_line(orders_of(actor_, stage_, number)));
    std::optional<Clock::time_point> until; ///< it is told to stop, and then made to
    std::string line;
    for (auto read = fault::PipedChild::Read::nothing; read != fault::PipedChild::Read::end;) {
        read = child.read(line, kNap);
        if (read == fault::PipedChild::Read::line)
            told.take(line);
        pool.holds(id, told.holds());
        if (stopping_ && !until) {
            until = Clock::now() + (interrupted() ? kGoesAtOnce : kGoesWithin);
            child.send(R"({"stop": true})");
            pool.signal(id, SIGCONT);
            if (interrupted())
                pool.signal(id, SIGINT); // ends its statement
        }
        if (until && Clock::now() > *until)
            pool.signal(id, SIGKILL);
    }
    const int signal = child.wait_for_end();
    pool.ended(id, signal);
    child.reap();
    told.ended();
    if (until)
        return;
    figures_.count("worker_deaths", 1);
    if (signal != SIGKILL)
        figures_.note(fmt::format("a worker process ended by itself, signal {}", signal));
}

Figures WorkerChildren::stop() {
    stopping_ = true;
    for (std::thread &thread : threads_)
        thread.join();
    return figures_.end();
}

} // namespace fairq::driver::actors
