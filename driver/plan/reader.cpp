// reader.cpp: what a plan file may contain, section by section. First params, profile and options are
// settled, then everything else is read with them in place. A key that is not read here is an error.
#include <algorithm>
#include <fstream>
#include <set>
#include <sstream>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "errors.hpp"
#include "plan/actor_reader.hpp"
#include "plan/plan.hpp"
#include "plan/toml_table.hpp"

namespace fairq::driver::plan {
namespace {

constexpr Milliseconds kDefaultAtRest{90'000}; // three default leases

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
        plan_.rows = root_.texts("rows");
        plan_.undo = root_.texts("undo");
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
        for (const Phase &phase : plan_.phases) {
            if (!phase.enqueues.empty() || !phase.calls.empty())
                plan_.gates.push_back(judge::offered_gate(phase.name));
            if (!phase.calls.empty())
                add_unless_said("calls_failed", "value==0", phase.name);
            if (phase.history)
                for (const char *metric : judge::kHistoryMetrics)
                    add_unless_said(metric, "value==0", phase.name);
            if (!phase.faults.empty())
                add_unless_said("faults_fired_ratio", "value==1", phase.name);
            if (!phase.holders.empty())
                add_unless_said("held_ratio", "value==1", phase.name);
        }
    }

    void add_unless_said(const std::string &metric, const std::string &expression, const std::string &phase) {
        const auto says = [&](const judge::Gate &gate) {
            const judge::MetricRef &ref = gate.operands[0];
            return ref.metric.compare(0, metric.size(), metric) == 0 &&
                   (ref.phase.empty() || ref.phase == phase);
        };
        if (std::any_of(plan_.gates.begin(), plan_.gates.end(), says))
            return;
        judge::Gate gate = judge::parse_gate(fmt::format("{}{{phase:{}}}", metric, phase), expression);
        gate.id = gate.gate_class == measure::GateClass::invariant ? "LEDGER" : "VALID";
        gate.title = measure::find_metric(metric)->meaning;
        plan_.gates.push_back(gate);
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
                if (known_at_run(key))
                    table.fail(key, "is the name of a value that is known when a statement runs");
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
        plan_.profiles.push_back({name, table.text("description", ""), table.optional_duration("takes")});
        for (const std::string &key : table.keys()) {
            if (key == "description" || key == "takes")
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
        phase.history = table.boolean("history", false);
        phase.before = table.texts("before");
        phase.after = table.texts("after");
        phase.duration = table.optional_duration("duration");
        phase.timeout = table.duration("timeout");
        table.each_table("seed", [&](TomlTable &t) { phase.seeds.push_back(read_seed(t)); });
        table.each_table("enqueue", [&](TomlTable &t) { phase.enqueues.push_back(read_enqueue(t)); });
        table.each_table("workers", [&](TomlTable &t) { read_workers(t, phase); });
        table.each_table("calls", [&](TomlTable &t) { phase.calls.push_back(read_calls(t)); });
        table.each_table("faults", [&](TomlTable &t) { phase.faults.push_back(read_faults(t)); });
        table.each_table("holders", [&](TomlTable &t) { phase.holders.push_back(read_holders(t)); });
        for (const FaultsActor &faults : phase.faults)
            if (strikes_worker(faults.kind) &&
                std::none_of(phase.external.begin(), phase.external.end(),
                             [](const ExternalWorkersActor &workers) { return workers.process; }))
                table.fail("faults",
                           fmt::format("{} strikes workers that are processes: kind = \"external\", process "
                                       "= true",
                                       faults.name));
        Milliseconds rest = kDefaultAtRest;
        for (const WorkerActor &worker : phase.workers)
            rest = std::max(rest, 3 * worker.every);
        phase.at_rest = table.optional_duration("at_rest").value_or(rest);
        if (!plan_.phases.empty() && !plan_.phases.back().drain && phase.clear)
            table.fail(
                "clear",
                fmt::format("must be false: the jobs of phase {}, which does not drain, would go unjudged",
                            plan_.phases.back().name));
        if (phase.seeds.empty() && phase.enqueues.empty() && phase.workers.empty() &&
            phase.external.empty() && phase.calls.empty())
            table.fail("", "a phase needs an actor: seed, enqueue, calls or workers");
        table.finish();
        plan_.phases.push_back(phase);
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
        const auto read = [&](const char *key, auto &&work) {
            try {
                work();
            } catch (const judge::GateError &error) {
                table.fail(key, error.what());
            }
        };
        const std::string target = table.text("target", ""), critical = table.text("critical", "");
        read("expect", [&] { judge::set_levels(gate, target, critical); });
        if (const auto window = table.optional_duration("window"))
            read("window", [&] { judge::set_window(gate, *window); });
        gate.abort_on_fail = table.boolean("abort_on_fail", false);
        gate.delay_abort = table.optional_duration("delay_abort_eval").value_or(gate.delay_abort);
        read("metric", [&] { check_gate(plan_, gate); });
        table.finish();
        plan_.gates.push_back(gate);
    }

    static bool metric_is_fine(const std::string &metric) {
        for (const char *expression : {"value==0", "max==0", "avg<0/s"})
            try {
                judge::parse_gate(metric, expression);
                return true;
            } catch (const judge::GateError &) {
            }
        return false;
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
