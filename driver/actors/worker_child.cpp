// worker_child.cpp: see worker_child.hpp.
#include "actors/worker_child.hpp"

#include <algorithm>
#include <atomic>
#include <csignal>
#include <iostream>
#include <thread>

#include <unistd.h>

#include <nlohmann/json.hpp>

#include "errors.hpp"
#include "interrupt.hpp"

namespace fairq::driver::actors {
namespace {

using nlohmann::json;

constexpr int kNoPoint = -1;

/// Whole lines: a kill between two of them leaves none cut in half that would be taken for another.
void write_line(const json &object) {
    const std::string line = object.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
    for (std::size_t written = 0; written < line.size();) {
        const ssize_t n = write(STDOUT_FILENO, line.data() + written, line.size() - written);
        if (n <= 0)
            _exit(1); // nobody listens any more
        written += static_cast<std::size_t>(n);
    }
}

json job_object(const char *event, const ClaimedJob &job) {
    return {{"e", event}, {"id", job.id}, {"tenant", job.tenant}, {"key", job.key}};
}

class Reporter : public WorkerEvents {
public:
    bool stopping() override { return stopping_ || interrupted(); }

    void at(CrashPoint point) override {
        if (crash_at_ != static_cast<int>(point))
            return;
        write_line({{"e", "crash"}, {"point", crash_point_names().at(static_cast<std::size_t>(point))}});
        std::raise(SIGKILL);
    }

    void count(const std::string &metric, double more) override {
        if (more != 0)
            write_line({{"e", "count"}, {"metric", metric}, {"more", more}});
    }
    void time(const std::string &metric, std::int64_t us) override {
        write_line({{"e", "time"}, {"metric", metric}, {"us", us}});
    }
    void hold(const ClaimedJob &job) override { write_line(job_object("hold", job)); }
    void let_go(const ClaimedJob &job) override { write_line(job_object("let_go", job)); }
    void completing(const std::vector<long long> &ids) override {
        write_line({{"e", "completing"}, {"ids", ids}});
    }
    void completion(const std::vector<long long> &ids, judge::Event event) override {
        write_line(
            {{"e", "completion"}, {"ids", ids}, {"unknown", event == judge::Event::completion_unknown}});
    }
    void worked(std::size_t jobs) override { write_line({{"e", "worked"}, {"jobs", jobs}}); }
    void met(const std::exception &error) override {
        json event{{"e", "met"}, {"what", error.what()}};
        if (const auto *sql = dynamic_cast<const db::DatabaseError *>(&error))
            event["sqlstate"] = sql->sqlstate();
        write_line(event);
    }

    /// Until stdin ends: then the driver is gone.
    void obey() {
        for (std::string line; std::getline(std::cin, line);) {
            const json order = json::parse(line, nullptr, false);
            if (order.contains("stop"))
                break;
            const auto &names = crash_point_names();
            const auto point = std::find(names.begin(), names.end(), order.value("crash", ""));
            if (point != names.end())
                crash_at_ = static_cast<int>(point - names.begin());
        }
        stopping_ = true;
    }

private:
    std::atomic<bool> stopping_{false};
    std::atomic<int> crash_at_{kNoPoint};
};

WorkerOrders read_orders(const std::string &line) {
    try {
        const json object = json::parse(line);
        WorkerOrders orders;
        orders.conninfo = object.at("conninfo");
        orders.schema = object.at("schema");
        orders.run_id = object.at("run_id");
        orders.worker_id = object.at("worker_id");
        orders.batch = object.at("batch");
        orders.tenant_cap = object.at("tenant_cap");
        if (!object.at("work_ms").is_null())
            orders.work = Milliseconds(object.at("work_ms").get<long long>());
        orders.fail = object.at("fail");
        orders.seed = object.at("seed");
        return orders;
    } catch (const json::exception &error) {
        throw UsageError(std::string("fairq worker is started by fairq run, which gives it orders: ") +
                         error.what());
    }
}

} // namespace

std::string orders_line(const WorkerOrders &orders) {
    return json{{"conninfo", orders.conninfo},
                {"schema", orders.schema},
                {"run_id", orders.run_id},
                {"worker_id", orders.worker_id},
                {"batch", orders.batch},
                {"tenant_cap", orders.tenant_cap},
                {"work_ms", orders.work ? json(orders.work->count()) : json(nullptr)},
                {"fail", orders.fail},
                {"seed", orders.seed}}
        .dump(-1, ' ', false, json::error_handler_t::replace);
}

void run_worker_child() {
    std::string line;
    std::getline(std::cin, line);
    const WorkerOrders orders = read_orders(line);
    static Reporter reporter; // the thread that obeys may outlive us
    std::thread([] { reporter.obey(); }).detach();
    WorkerLoop(orders, reporter).run();
}

} // namespace fairq::driver::actors
