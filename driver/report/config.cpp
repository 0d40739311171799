// config.cpp: see config.hpp.
#include "report/config.hpp"

#include <nlohmann/json.hpp>

namespace fairq::driver::report {
namespace {

using json = nlohmann::ordered_json;

json worker_config(const plan::WorkerActor &worker) {
    return {{"kind", worker.kind == plan::WorkerKind::cron ? "cron" : "tick"},
            {"job", worker.job},
            {"workers", worker.workers},
            {"every_ms", worker.every.count()},
            {"keep", worker.keep}};
}

json phase_config(const plan::Phase &phase) {
    json config{{"name", phase.name},       {"clear", phase.clear},   {"drain", phase.drain},
                {"history", phase.history}, {"before", phase.before}, {"after", phase.after}};
    config["timeout_ms"] = phase.timeout.count();
    config["at_rest_ms"] = phase.at_rest.count();
    config["duration_ms"] = phase.duration ? json(phase.duration->count()) : json(nullptr);
    for (const char *actors : {"seed", "enqueue", "workers", "calls", "holders", "faults"})
        config[actors] = json::array();
    for (const plan::SeedActor &seed : phase.seeds)
        config["seed"].push_back({{"jobs", seed.jobs}, {"tenants", seed.tenants}});
    for (const plan::EnqueueActor &enqueue : phase.enqueues)
        config["enqueue"].push_back({{"per_second", enqueue.per_second},
                                     {"duration_ms", enqueue.duration.count()},
                                     {"tenants", enqueue.tenants},
                                     {"work_ms", enqueue.work_ms}});
    for (const plan::WorkerActor &worker : phase.workers)
        config["workers"].push_back(worker_config(worker));
    for (const plan::ExternalWorkersActor &workers : phase.external)
        config["workers"].push_back({{"kind", "external"},
                                     {"name", workers.name},
                                     {"workers", workers.workers},
                                     {"batch", workers.batch},
                                     {"tenant_cap", workers.tenant_cap},
                                     {"work_ms", workers.work ? json(workers.work->count()) : json(nullptr)},
                                     {"fail", workers.fail},
                                     {"process", workers.process},
                                     {"tags", workers.tags}});
    for (const plan::CallsActor &calls : phase.calls)
        config["calls"].push_back({{"name", calls.name},
                                   {"sql", calls.sql},
                                   {"planned", planned_calls(calls.stages)},
                                   {"poisson", calls.poisson},
                                   {"connections", calls.connections},
                                   {"tenants", calls.tenants},
                                   {"enqueues", calls.enqueues},
                                   {"fresh", calls.fresh},
                                   {"expect", calls.expect},
                                   {"tags", calls.tags}});
    for (const plan::FaultsActor &faults : phase.faults)
        config["faults"].push_back({{"name", faults.name},
                                    {"kind", plan::fault_kind_names()[static_cast<std::size_t>(faults.kind)]},
                                    {"of", faults.of},
                                    {"at", faults.at},
                                    {"lasts_ms", faults.lasts.count()},
                                    {"first_ms", faults.first.count()},
                                    {"every_ms", faults.every.count()},
                                    {"times", faults.times}});
    for (const plan::HoldersActor &holders : phase.holders)
        config["holders"].push_back({{"name", holders.name},
                                     {"sql", holders.sql},
                                     {"sessions", holders.sessions},
                                     {"isolation", holders.isolation}});
    return config;
}

json config_of(const plan::Plan &plan) {
    json config{{"plan_file", plan.path}, {"sample_every_ms", plan.sample_every.count()}};
    config["rows"] = plan.rows;
    config["undo"] = plan.undo;
    config["params"] = json::object();
    for (const auto &[name, value] : plan.params)
        config["params"][name] = value;
    config["server_settings"] = plan.server.settings;
    config["phases"] = json::array();
    for (const plan::Phase &phase : plan.phases)
        config["phases"].push_back(phase_config(phase));
    return config;
}

} // namespace

std::string plan_config(const plan::Plan &plan) {
    return config_of(plan).dump(-1, ' ', false, json::error_handler_t::replace);
}

} // namespace fairq::driver::report
