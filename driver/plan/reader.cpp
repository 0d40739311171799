// reader.cpp: what a plan file may contain, section by section. First params, profile and options are
// settled, then everything else is read with them in place. A key that is not read here is an error.
#include <algorithm>
#include <fstream>
#include <set>
#include <sstream>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "errors.hpp"
#include "plan/plan.hpp"
#include "plan/toml_table.hpp"

namespace fairq::driver::plan {
namespace {

constexpr Range kJobs{1, 10'000'000};
constexpr Range kTenants{1, 1'000'000};
constexpr Range kWorkers{1, 64};
constexpr Milliseconds kDefaultAtRest{90'000}; // three default leases
constexpr Milliseconds kShortestTick{1};
constexpr Milliseconds kMinute{60'000};

bool read_flag(const std::string &text) {
    if (text != "true" && text != "false")
        throw std::invalid_argument(text);
    return text == "true";
}

Value parse_like(const Value &like, const std::string &text, const std::string &name) {
    try {
        std::size_t used = text.size();
        Value value = text;
        if (std::holds_alternative<long long>(like))
            value = std::stoll(text, &used);
        else if (std::holds_alternative<double>(like))
            value = std::stod(text, &used);
        else if (std::holds_alternative<bool>(like))
            value = read_flag(text);
        if (used == text.size())
            return value;
    } catch (const std::logic_error &) { // stoll and friends: not a number, or out of range
    }
    throw UsageError(fmt::format("--option {}={}: must be like its default {}", name, text, to_text(like)));
}

class PlanReader {
public:
    PlanReader(const toml::table &root, const std::string &path, const PlanChoice &choice)
        : choice_(choice), context_{path, {}}, root_(context_, root, "") {
        plan_.path = path;
    }

    Plan read() {
        plan_.name = root_.text("name");
        plan_.description = root_.text("description");
        read_params();
        read_profiles();
        apply_options();
        plan_.sample_every = root_.optional_duration("sample_every").value_or(Milliseconds(1000));
        if (plan_.sample_every.count() < 10)
            root_.fail("sample_every", "must be 10ms or more");
        root_.each_table("server", [&](TomlTable &table) { read_server(table); });
        root_.each_table("phases", [&](TomlTable &table) { read_phase(table); });
        if (plan_.phases.empty())
            root_.fail("phases", "a plan needs at least one phase");
        if (!plan_.phases.back().drain)
            root_.fail("phases", "the last phase has to drain: what it leaves would go unjudged");
        check_kept_workers();
        root_.each_table("gates", [&](TomlTable &table) { read_gate(table); });
        root_.finish();
        add_standing_gates();
        for (const auto &[name, value] : context_.params)
            plan_.params.emplace_back(name, to_text(value));
        return plan_;
    }

private:
    void add_standing_gates() {
        for (const judge::Gate &gate : judge::ledger_gates())
            if (gate.operands[0].metric == "dead_letters")
                add_dead_gates(gate);
            else
                plan_.gates.push_back(gate);
        for (const Phase &phase : plan_.phases)
            if (!phase.enqueues.empty())
                plan_.gates.push_back(judge::offered_gate(phase.name));
    }

    /// A plan may want dead jobs, in all its phases or in some: there its own gate stands instead of ours.
    void add_dead_gates(const judge::Gate &standing) {
        std::set<std::string> said;
        for (const judge::Gate &gate : plan_.gates)
            if (gate.operands.size() == 1 && gate.operands[0].metric == "dead_letters")
                said.insert(gate.operands[0].phase);
        if (said.empty())
            plan_.gates.push_back(standing);
        for (const Phase &phase : plan_.phases)
            if (!said.empty() && said.count("") == 0 && said.count(phase.name) == 0) {
                judge::Gate gate = judge::parse_gate(fmt::format("dead_letters{{phase:{}}}", phase.name),
                                                     standing.expression);
                gate.id = standing.id;
                gate.title = standing.title;
                plan_.gates.push_back(gate);
            }
    }

    void read_params() {
        root_.each_table("params", [&](TomlTable &table) {
            for (const std::string &key : table.keys())
                context_.params[key] = *table.value(key);
        });
    }

    void read_profiles() {
        const std::string fallback = root_.text("default_profile", "");
        const std::string chosen = choice_.profile.empty() ? fallback : choice_.profile;
        root_.each_table("profiles", [&](TomlTable &profiles) {
            for (const std::string &name : profiles.keys())
                profiles.each_table(name,
                                    [&](TomlTable &table) { read_profile(table, name, name == chosen); });
        });
        if (chosen.empty())
            return;
        if (plan_.profile.empty() && chosen == fallback)
            root_.fail("default_profile", fmt::format("there is no profile \"{}\"", chosen));
        if (plan_.profile.empty())
            throw UsageError(fmt::format("{}: there is no profile \"{}\"; there are: {}", context_.path,
                                         chosen, profile_names()));
    }

    std::string profile_names() const {
        std::vector<std::string> names;
        for (const Profile &profile : plan_.profiles)
            names.push_back(profile.name);
        return names.empty() ? "none" : fmt::format("{}", fmt::join(names, ", "));
    }

    void read_profile(TomlTable &table, const std::string &name, bool chosen) {
        plan_.profiles.push_back({name, table.text("description", "")});
        for (const std::string &key : table.keys()) {
            if (key == "description")
                continue;
            const auto param = context_.params.find(key);
            if (param == context_.params.end())
                table.fail(key, "a profile changes params; there is none of this name");
            const Value value = *table.value(key);
            if (value.index() != param->second.index())
                table.fail(key, fmt::format("must be like its default {}, not {}", to_text(param->second),
                                            to_text(value)));
            if (chosen)
                chosen_params_[key] = value;
        }
        if (chosen)
            plan_.profile = name;
    }

    void apply_options() {
        for (const auto &[key, value] : chosen_params_)
            context_.params[key] = value;
        for (const auto &[name, text] : choice_.options) {
            const auto param = context_.params.find(name);
            if (param == context_.params.end())
                throw UsageError(
                    fmt::format("--option {}: {} has no param of this name", name, context_.path));
            param->second = parse_like(param->second, text, name);
        }
    }

    void read_server(TomlTable &table) {
        plan_.server.cron_background_workers = table.boolean("cron_background_workers", true);
        table.each_table("settings", [&](TomlTable &settings) {
            for (const std::string &key : settings.keys())
                plan_.server.settings[key] = to_text(*settings.value(key));
        });
        table.finish();
    }

    void read_phase(TomlTable &table) {
        Phase phase;
        phase.name = table.text("name");
        const auto same_name = [&](const Phase &other) { return other.name == phase.name; };
        if (std::any_of(plan_.phases.begin(), plan_.phases.end(), same_name))
            table.fail("name", fmt::format("there is a phase \"{}\" already", phase.name));
        phase.description = table.text("description", "");
        phase.clear = table.boolean("clear", true);
        phase.drain = table.boolean("drain", true);
        phase.before = table.texts("before");
        phase.after = table.texts("after");
        phase.duration = table.optional_duration("duration");
        phase.timeout = table.duration("timeout");
        table.each_table("seed", [&](TomlTable &t) { phase.seeds.push_back(read_seed(t)); });
        table.each_table("enqueue", [&](TomlTable &t) { phase.enqueues.push_back(read_enqueue(t)); });
        table.each_table("workers", [&](TomlTable &t) { phase.workers.push_back(read_workers(t)); });
        Milliseconds rest = kDefaultAtRest;
        for (const WorkerActor &worker : phase.workers)
            rest = std::max(rest, 3 * worker.every);
        phase.at_rest = table.optional_duration("at_rest").value_or(rest);
        if (!plan_.phases.empty() && !plan_.phases.back().drain && phase.clear)
            table.fail(
                "clear",
                fmt::format("must be false: the jobs of phase {}, which does not drain, would go unjudged",
                            plan_.phases.back().name));
        if (phase.seeds.empty() && phase.enqueues.empty() && phase.workers.empty())
            table.fail("", "a phase needs an actor: seed, enqueue or workers");
        table.finish();
        plan_.phases.push_back(phase);
    }

    static SeedActor read_seed(TomlTable &table) {
        SeedActor seed;
        seed.jobs = table.integer("jobs", kJobs);
        seed.tenants = table.integer("tenants", kTenants);
        table.finish();
        return seed;
    }

    static EnqueueActor read_enqueue(TomlTable &table) {
        EnqueueActor enqueue;
        enqueue.per_second = table.rate("rate");
        enqueue.duration = table.duration("duration");
        enqueue.tenants = table.integer("tenants", kTenants);
        enqueue.work_ms = table.integer("work_ms", {0, 600'000}, 10);
        if (enqueue.planned_jobs() < 1 || enqueue.planned_jobs() > kJobs.max)
            table.fail("rate", fmt::format("with this duration makes {} jobs", enqueue.planned_jobs()));
        table.finish();
        return enqueue;
    }

    static WorkerActor read_workers(TomlTable &table) {
        WorkerActor worker;
        const std::string kind = table.text("kind");
        if (kind != "cron" && kind != "tick")
            table.fail("kind", fmt::format("must be cron or tick, not \"{}\"", kind));
        worker.kind = kind == "cron" ? WorkerKind::cron : WorkerKind::tick;
        worker.workers = table.integer("workers", kWorkers);
        worker.every = table.duration("every");
        worker.keep = table.boolean("keep", false);
        worker.job = worker.kind == WorkerKind::cron ? table.text("job") : table.text("job", "");
        check_workers(worker, table);
        table.finish();
        return worker;
    }

    static void check_workers(const WorkerActor &worker, const TomlTable &table) {
        if (worker.keep && worker.kind == WorkerKind::tick)
            table.fail("keep", "only workers of kind cron can stay for the next phase");
        if (worker.job.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_-") != std::string::npos)
            table.fail("job", "may have lower-case letters, digits, - and _ only");
        if (worker.every < kShortestTick)
            table.fail("every", "must be 1ms or more");
        if (worker.kind == WorkerKind::cron && worker.every >= kMinute &&
            (worker.every % kMinute).count() != 0)
            table.fail("every", "pg_cron counts whole minutes, or seconds under one minute");
        if (worker.kind == WorkerKind::cron && worker.every > kMinute * 59)
            table.fail("every", "must be under an hour");
        if (worker.kind == WorkerKind::cron && worker.every < kMinute && worker.every.count() % 1000 != 0)
            table.fail("every", "pg_cron counts whole seconds");
    }

    /// Workers that stay are taken over by the next phase, which has to want exactly these.
    void check_kept_workers() const {
        for (std::size_t i = 0; i < plan_.phases.size(); ++i)
            for (const WorkerActor &kept : plan_.phases[i].workers) {
                const auto same = [&](const WorkerActor &w) {
                    return w.job == kept.job && w.workers == kept.workers && w.every == kept.every;
                };
                const bool last = i + 1 == plan_.phases.size();
                if (kept.keep && (last || std::none_of(plan_.phases[i + 1].workers.begin(),
                                                       plan_.phases[i + 1].workers.end(), same)))
                    root_.fail("phases",
                               fmt::format("{} keeps \"{}\" for a next phase that has no such workers",
                                           plan_.phases[i].name, kept.job));
            }
    }

    void read_gate(TomlTable &table) {
        const std::string metric = table.text("metric");
        const std::string expect = table.text("expect");
        const auto floor = static_cast<std::size_t>(table.integer("min_samples", {1, 1'000'000'000}, 0));
        judge::Gate gate;
        try {
            gate = judge::parse_gate(metric, expect, floor);
        } catch (const judge::GateError &error) {
            // The expression is the second half of a gate: blame it only when the metric alone is fine.
            table.fail(metric_is_fine(metric) ? "expect" : "metric", error.what());
        }
        gate.id = table.text("id");
        gate.title = table.text("title", measure::find_metric(gate.operands[0].metric)->meaning.data());
        for (const judge::MetricRef &ref : gate.operands)
            check_phase(ref, table);
        table.finish();
        plan_.gates.push_back(gate);
    }

    static bool metric_is_fine(const std::string &metric) {
        for (const char *expression : {"value==0", "max==0"})
            try {
                judge::parse_gate(metric, expression);
                return true;
            } catch (const judge::GateError &) {
            }
        return false;
    }

    void check_phase(const judge::MetricRef &ref, const TomlTable &table) const {
        const auto named = [&](const Phase &phase) { return phase.name == ref.phase; };
        if (!ref.phase.empty() && std::none_of(plan_.phases.begin(), plan_.phases.end(), named))
            table.fail("metric", fmt::format("there is no phase \"{}\"", ref.phase));
    }

    const PlanChoice &choice_;
    PlanContext context_;
    TomlTable root_;
    Plan plan_;
    std::map<std::string, Value> chosen_params_;
};

} // namespace

Plan parse_plan(const std::string &text, const std::string &path, const PlanChoice &choice) {
    try {
        const toml::table root = toml::parse(text, path);
        return PlanReader(root, path, choice).read();
    } catch (const toml::parse_error &error) {
        throw UsageError(fmt::format("{}:{}: {}", path, error.source().begin.line, error.description()));
    }
}

Plan read_plan(const std::string &path, const PlanChoice &choice) {
    std::ifstream file(path);
    std::ostringstream text;
    if (!file || !(text << file.rdbuf()))
        throw UsageError(fmt::format("cannot read plan file {}", path));
    return parse_plan(text.str(), path, choice);
}

} // namespace fairq::driver::plan
