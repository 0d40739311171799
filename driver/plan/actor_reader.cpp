// actor_reader.cpp: what the tables of actors may contain.
#include "plan/actor_reader.hpp"

#include <algorithm>
#include <map>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "text.hpp"

namespace fairq::driver::plan {
namespace {

constexpr Range kJobs{1, 10'000'000};
constexpr Range kTenants{1, 1'000'000};
constexpr Range kWorkers{1, 64};
constexpr Range kSessions{1, 500};
constexpr Milliseconds kShortestTick{1};
constexpr Milliseconds kMinute{60'000};

void check_workers(const WorkerActor &worker, const TomlTable &table) {
    if (worker.keep && worker.kind == WorkerKind::tick)
        table.fail("keep", "only workers of kind cron can stay for the next phase");
    if (worker.job.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_-") != std::string::npos)
        table.fail("job", "may have lower-case letters, digits, - and _ only");
    if (worker.every < kShortestTick)
        table.fail("every", "must be 1ms or more");
    if (worker.kind == WorkerKind::cron && worker.every >= kMinute && (worker.every % kMinute).count() != 0)
        table.fail("every", "pg_cron counts whole minutes, or seconds under one minute");
    if (worker.kind == WorkerKind::cron && worker.every > kMinute * 59)
        table.fail("every", "must be under an hour");
    if (worker.kind == WorkerKind::cron && worker.every < kMinute && worker.every.count() % 1000 != 0)
        table.fail("every", "pg_cron counts whole seconds");
}

WorkerActor read_server_workers(TomlTable &table, const std::string &kind) {
    WorkerActor worker;
    worker.kind = kind == "cron" ? WorkerKind::cron : WorkerKind::tick;
    worker.workers = table.integer("workers", kWorkers);
    worker.every = table.duration("every");
    worker.keep = table.boolean("keep", false);
    worker.job = worker.kind == WorkerKind::cron ? table.text("job") : table.text("job", "");
    check_workers(worker, table);
    table.finish();
    return worker;
}

void read_name(TomlTable &table, NamedActor &actor, const std::string &fallback) {
    actor.name = fallback.empty() ? table.text("name") : table.text("name", fallback);
    table.each_table("tags", [&](TomlTable &tags) {
        for (const std::string &tag : tags.keys()) {
            if (tag == "phase" || tag == "actor")
                tags.fail(tag, "every actor has it already");
            actor.tags[tag] = tags.text(tag);
        }
        tags.finish();
    });
}

ExternalWorkersActor read_external_workers(TomlTable &table) {
    ExternalWorkersActor workers;
    read_name(table, workers, workers.name);
    workers.workers = table.integer("workers", kWorkers);
    workers.batch = table.integer("batch", {1, 10'000}, workers.batch);
    workers.tenant_cap = table.integer("tenant_cap", {1, 1'000'000}, workers.tenant_cap);
    workers.work = table.optional_duration("work");
    workers.fail = table.number("fail", 0, 1, workers.fail);
    workers.process = table.boolean("process", workers.process);
    table.finish();
    return workers;
}

std::vector<Stage> read_stages(TomlTable &table) {
    std::vector<Stage> stages;
    if (table.has("rate"))
        stages.push_back({table.duration("duration"), table.rate("rate"), false});
    table.each_table("stages", [&](TomlTable &t) {
        Stage stage;
        stage.duration = t.duration("duration");
        stage.per_second = t.rate("rate");
        stage.ramp = t.boolean("ramp", false);
        t.finish();
        stages.push_back(stage);
    });
    if (stages.empty())
        table.fail("rate", "is missing: rate and duration, or stages");
    if (const double calls = planned_calls(stages); calls < 1 || calls > static_cast<double>(kJobs.max))
        table.fail("rate", fmt::format("with this duration makes {:.0f} calls", calls));
    return stages;
}

Spread read_spread(TomlTable &table) {
    const std::string text = table.text("spread", "even");
    if (text != "even" && text != "zipf" && text != "flood")
        table.fail("spread", fmt::format("must be even, zipf or flood, not \"{}\"{}", text,
                                         did_you_mean(text, {"even", "zipf", "flood"})));
    return text == "even" ? Spread::even : text == "zipf" ? Spread::zipf : Spread::flood;
}

} // namespace

SeedActor read_seed(TomlTable &table) {
    SeedActor seed;
    seed.jobs = table.integer("jobs", kJobs);
    seed.tenants = table.integer("tenants", kTenants);
    table.finish();
    return seed;
}

EnqueueActor read_enqueue(TomlTable &table) {
    EnqueueActor enqueue;
    read_name(table, enqueue, enqueue.name);
    enqueue.per_second = table.rate("rate");
    enqueue.duration = table.duration("duration");
    enqueue.tenants = table.integer("tenants", kTenants);
    enqueue.work_ms = table.integer("work_ms", {0, 600'000}, 10);
    if (enqueue.planned_jobs() < 1 || enqueue.planned_jobs() > kJobs.max)
        table.fail("rate", fmt::format("with this duration makes {} jobs", enqueue.planned_jobs()));
    table.finish();
    return enqueue;
}

void read_workers(TomlTable &table, Phase &phase) {
    const std::string kind = table.text("kind");
    if (kind == "external")
        phase.external.push_back(read_external_workers(table));
    else if (kind == "cron" || kind == "tick")
        phase.workers.push_back(read_server_workers(table, kind));
    else
        table.fail("kind", fmt::format("must be cron, tick or external, not \"{}\"", kind));
}

CallsActor read_calls(TomlTable &table) {
    CallsActor calls;
    read_name(table, calls, "");
    calls.sql = table.text("sql");
    calls.stages = read_stages(table);
    calls.poisson = table.boolean("poisson", false);
    calls.connections = table.integer("connections", kSessions, calls.connections);
    calls.tenants = table.integer("tenants", kTenants, calls.tenants);
    calls.spread = read_spread(table);
    calls.enqueues = table.boolean("enqueues", false);
    calls.fresh = table.boolean("fresh", false);
    calls.expect = table.texts("expect");
    if (calls.enqueues && calls.sql.find("${key}") == std::string::npos)
        table.fail("sql", "has to give ${key} to what it enqueues: the ledger knows the job by it");
    table.finish();
    return calls;
}

HoldersActor read_holders(TomlTable &table) {
    HoldersActor holders;
    read_name(table, holders, holders.name);
    holders.sql = table.text("sql");
    holders.sessions = table.integer("sessions", kSessions, holders.sessions);
    holders.isolation = table.text("isolation", holders.isolation);
    if (holders.isolation != "READ COMMITTED" && holders.isolation != "REPEATABLE READ")
        table.fail("isolation",
                   fmt::format("must be READ COMMITTED or REPEATABLE READ, not \"{}\"", holders.isolation));
    table.finish();
    return holders;
}

FaultsActor read_faults(TomlTable &table) {
    static const std::vector<std::string> kSessionsOf{"worker", "load", "calls", "tick", "holder"};
    static const std::vector<std::string> kPoints{"before-claim", "claimed", "mid-work", "before-complete",
                                                  "completed"};
    const auto one_of = [&](const std::string &key, const std::vector<std::string> &known) {
        const std::string text = table.text(key);
        const auto found = std::find(known.begin(), known.end(), text);
        if (found == known.end())
            table.fail(key, fmt::format("must be one of {}, not \"{}\"{}", fmt::join(known, ", "), text,
                                        did_you_mean(text, known)));
        return static_cast<std::size_t>(found - known.begin());
    };
    FaultsActor faults;
    faults.kind = static_cast<FaultKind>(one_of("kind", fault_kind_names()));
    read_name(table, faults, fault_kind_names()[static_cast<std::size_t>(faults.kind)]);
    if (faults.kind == FaultKind::cut_session)
        faults.of = kSessionsOf[one_of("of", kSessionsOf)];
    if (faults.kind == FaultKind::crash_worker)
        faults.at = kPoints[one_of("at", kPoints)];
    if (faults.kind == FaultKind::freeze_worker)
        faults.lasts = table.duration("lasts");
    faults.first = table.duration("first");
    faults.times = table.integer("times", {1, 10'000}, faults.times);
    faults.every =
        faults.times > 1 ? table.duration("every") : table.optional_duration("every").value_or(faults.every);
    table.finish();
    return faults;
}

std::vector<NamedActor> named_actors(const Phase &phase) {
    std::vector<NamedActor> found;
    const auto add = [&](const auto &actors) { found.insert(found.end(), actors.begin(), actors.end()); };
    add(phase.enqueues);
    add(phase.external);
    add(phase.calls);
    add(phase.holders);
    add(phase.faults);
    return found;
}

} // namespace fairq::driver::plan
