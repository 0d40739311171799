// engine.cpp: see engine.hpp. A phase that did not end as planned ends the run: the phases after it
// would measure the rest of this one.
#include "engine/engine.hpp"

#include <ctime>
#include <random>
#include <set>

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "db/neighbours.hpp"
#include "db/run_lock.hpp"
#include "engine/phase.hpp"
#include "errors.hpp"
#include "interrupt.hpp"

namespace fairq::driver::engine {
namespace {

using Clock = std::chrono::steady_clock;

constexpr Milliseconds kClearPatience{30'000};
constexpr Milliseconds kStatementPatience{600'000}; // seeding ten million jobs takes minutes

bool never() {
    return false;
}

std::string random_id() {
    std::random_device device;
    return fmt::format("{:06x}", device() & 0xffffffU);
}

class Engine {
public:
    Engine(const plan::Plan &plan, const RunSettings &settings, Progress &progress)
        : plan_(plan), settings_(settings), progress_(progress), run_id_(random_id()),
          control_(settings.conninfo, "control " + run_id_, kStatementPatience),
          lock_(settings.conninfo, run_id_), start_(Clock::now()) {
        result_.plan = &plan;
        result_.run_id = run_id_;
        result_.seed = settings.seed;
        result_.again = settings.again;
        result_.throwaway = settings.throwaway;
        result_.generated_at = fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time(nullptr)));
    }

    RunResult run() {
        prepared([&] {
            control_.connect();
            result_.server = db::inspect_server(control_);
        });
        progress_.note(fmt::format("PostgreSQL {}, fairq {}: {}", result_.server.version,
                                   result_.server.extension, result_.server.place));
        db::QueueClient client(control_, result_.server.schema, run_id_);
        actors::WorkerSet workers(control_, result_.server.schema, run_id_);
        prepared([&] { check(client, workers); });
        const auto deadline = settings_.timeout ? start_ + *settings_.timeout : Clock::time_point::max();
        RunContext context{plan_,    control_,     client,
                           workers,  lock_,        settings_.cluster,
                           journal_, progress_,    result_.server.schema,
                           run_id_,  result_.seed, 0,
                           "",       deadline,     baseline()};
        run_phases(context);
        control_.undo();
        workers.stop_all();
        undo(client);
        clear(context);
        result_.interrupted = interrupted();
        result_.reconnects = control_.reconnects();
        result_.wall_seconds = std::chrono::duration<double>(Clock::now() - start_).count();
        conclude(result_, samples_, baseline());
        return result_;
    }

private:
    /// Nothing has been made yet: whatever fails is a sentence, and the end.
    static void prepared(const std::function<void()> &work) {
        try {
            work();
        } catch (const db::DatabaseError &error) {
            if (interrupted())
                throw Interrupted();
            throw SetupError(fmt::format("cannot use the database: {}", error.what()));
        }
    }

    void check(db::QueueClient &client, actors::WorkerSet &workers) {
        if (strikes_server(plan_) && settings_.cluster == nullptr)
            throw SetupError(fmt::format(
                "{} stops its server: it runs on a throw-away cluster only, without --dsn, -h, -d, PGHOST …",
                plan_.name));
        lock_.take();
        if (uses_cron(plan_)) {
            workers.cron().check(plan_);
            result_.cron_version = workers.cron().version();
        }
        if (client.any_jobs())
            throw SetupError("there are load_test jobs in this database already, of a run that was killed, "
                             "or kept: fairq cleanup "
                             "takes them away");
        if (settings_.throwaway)
            return;
        ask_neighbours();
        db::RunNotes(control_).add({run_id_, plan_.name, "", cron_names()});
    }

    const judge::Baseline *baseline() const { return settings_.baseline ? &*settings_.baseline : nullptr; }

    std::vector<std::string> cron_names() const {
        std::set<std::string> names;
        for (const plan::Phase &phase : plan_.phases)
            for (const plan::WorkerActor &worker : phase.workers)
                if (worker.kind == plan::WorkerKind::cron)
                    names.insert(worker.job);
        return {names.begin(), names.end()};
    }

    void ask_neighbours() {
        const db::Neighbours neighbours = db::find_neighbours(control_, result_.server.schema);
        if (!neighbours.claimers.empty())
            throw SetupError(fmt::format(
                "other workers claim from this queue, and would get the load-test jobs: {}; stop them, "
                "or run on another database",
                fmt::join(neighbours.claimers, "; ")));
        if (settings_.yes || (neighbours.unfinished_jobs == 0 && !neighbours.finished_jobs))
            return;
        const std::string has =
            neighbours.unfinished_jobs == 0
                ? "has finished jobs of others"
                : fmt::format(
                      "has {} unfinished jobs of others, which the workers of this run would run as well",
                      format_count(neighbours.unfinished_jobs));
        if (!settings_.ask || !settings_.ask(fmt::format("{} {}. Go on?", result_.server.place, has)))
            throw SetupError(fmt::format("{} {}: --yes goes on all the same", result_.server.place, has));
    }

    void run_phases(RunContext &context) {
        for (const plan::Phase &phase : plan_.phases) {
            PhaseRunner runner(context, phase);
            result_.phases.push_back(runner.run());
            const PhaseResult &done = result_.phases.back();
            add_samples(samples_, done);
            progress_.note(fmt::format(
                "{}: {} after {}{}", phase.name, phase_end_word(done.end),
                format_duration(Milliseconds(static_cast<long long>(done.wall_seconds * 1000))),
                done.end == PhaseEnd::failed && !done.notes.empty() ? ": " + done.notes.front() : ""));
            if (done.end != PhaseEnd::drained && done.end != PhaseEnd::sent)
                return;
        }
    }

    void undo(db::QueueClient &client) {
        for (const std::string &sql : plan_.undo)
            try {
                db::with_reconnect(kClearPatience, never, [&] { client.run(sql); });
            } catch (const db::DatabaseError &error) {
                result_.notes.push_back(fmt::format("could not undo by {}: {}", sql, error.what()));
            }
    }

    void clear(RunContext &context) {
        if (settings_.throwaway)
            return;
        try {
            db::with_reconnect(kClearPatience, never, [&] {
                if (!settings_.keep && foreign_jobs(context) == 0)
                    context.client.clear();
                else
                    result_.notes.push_back(
                        "the load-test jobs of this run are still there: fairq cleanup takes them away");
                db::RunNotes(control_).remove(run_id_);
            });
        } catch (const std::exception &error) {
            result_.notes.push_back(fmt::format(
                "could not take the load-test data away: {}; fairq cleanup does it", error.what()));
        }
    }

    const plan::Plan &plan_;
    const RunSettings &settings_;
    Progress &progress_;
    const std::string run_id_;
    db::Database control_;
    db::RunLock lock_;
    judge::Journal journal_;
    Clock::time_point start_;
    measure::Samples samples_;
    RunResult result_;
};

} // namespace

RunResult run_plan(const plan::Plan &plan, const RunSettings &settings, Progress &progress) {
    return Engine(plan, settings, progress).run();
}

} // namespace fairq::driver::engine
