// engine.cpp: see engine.hpp. A phase that did not end as planned ends the run: the phases after it
// would measure the rest of this one.
#include "engine/engine.hpp"

#include <cstdio>
#include <ctime>
#include <random>

#include <fmt/chrono.h>
#include <fmt/format.h>

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
        : plan_(plan), settings_(settings), progress_(progress),
          control_(settings.conninfo, "control", kStatementPatience), start_(Clock::now()) {
        result_.plan = &plan;
        result_.run_id = random_id();
        result_.seed = settings.seed;
        result_.again = settings.again;
        result_.throwaway = settings.throwaway;
        result_.generated_at = fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time(nullptr)));
    }

    RunResult run() {
        connect();
        db::QueueClient client(control_, result_.server.schema);
        actors::WorkerSet workers(control_, result_.server.schema);
        check(client, workers);
        const auto deadline = settings_.timeout ? start_ + *settings_.timeout : Clock::time_point::max();
        RunContext context{plan_,          control_,     client,  workers, progress_, result_.server.schema,
                           result_.run_id, result_.seed, deadline};
        run_phases(context);
        workers.stop_all();
        if (!settings_.keep && !settings_.throwaway)
            clear(client);
        result_.interrupted = interrupted();
        result_.reconnects = control_.reconnects();
        result_.wall_seconds = std::chrono::duration<double>(Clock::now() - start_).count();
        conclude(result_, samples_);
        return result_;
    }

private:
    void connect() {
        try {
            control_.connect();
            result_.server = db::inspect_server(control_);
        } catch (const db::DatabaseError &error) {
            throw SetupError(fmt::format("cannot use the database: {}", error.what()));
        }
    }

    void check(db::QueueClient &client, actors::WorkerSet &workers) {
        try {
            if (plan::uses_cron(plan_)) {
                workers.cron().check(plan_);
                result_.cron_version = workers.cron().version();
            }
            if (!client.any_jobs())
                return;
            if (!settings_.force)
                throw SetupError(
                    "there are load_test jobs in this database already: an earlier run left them, "
                    "or another one goes on; --force clears them, with their messages and ticks");
            client.clear();
        } catch (const db::DatabaseError &error) {
            throw SetupError(fmt::format("cannot prepare the run: {}", error.what()));
        }
    }

    void run_phases(RunContext &context) {
        for (const plan::Phase &phase : plan_.phases) {
            PhaseRunner runner(context, phase);
            try {
                result_.phases.push_back(runner.run());
            } catch (const db::DatabaseError &error) {
                return give_up(phase, error);
            } catch (const SetupError &error) {
                return give_up(phase, error);
            }
            const PhaseResult &done = result_.phases.back();
            add_samples(samples_, done);
            progress_.note(
                fmt::format("{}: {} after {}", phase.name, phase_end_word(done.end),
                            format_duration(Milliseconds(static_cast<long long>(done.wall_seconds * 1000)))));
            if (done.end != PhaseEnd::drained && done.end != PhaseEnd::time)
                return;
        }
    }

    /// What the phase had seen is gone with it, so its gates are inconclusive.
    void give_up(const plan::Phase &phase, const std::exception &error) {
        PhaseResult failed;
        failed.name = phase.name;
        failed.end = interrupted() ? PhaseEnd::interrupted : PhaseEnd::timeout;
        failed.notes.push_back(error.what());
        result_.phases.push_back(failed);
        progress_.note(fmt::format("{}: {}", phase.name, error.what()));
    }

    static void clear(db::QueueClient &client) {
        try {
            db::with_reconnect(kClearPatience, never, [&] { client.clear(); });
        } catch (const db::DatabaseError &error) {
            std::fprintf(stderr, "fairq: could not clear the load-test data: %s\n", error.what());
        }
    }

    const plan::Plan &plan_;
    const RunSettings &settings_;
    Progress &progress_;
    db::Database control_;
    Clock::time_point start_;
    measure::Samples samples_;
    RunResult result_;
};

} // namespace

RunResult run_plan(const plan::Plan &plan, const RunSettings &settings, Progress &progress) {
    return Engine(plan, settings, progress).run();
}

} // namespace fairq::driver::engine
