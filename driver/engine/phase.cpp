// phase.cpp: see phase.hpp. Times that decide a gate come from the server's clock;
// this clock only says when to look.
#include "engine/phase.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "engine/abort.hpp"
#include "engine/account.hpp"
#include "errors.hpp"
#include "fault/worker_pool.hpp"
#include "interrupt.hpp"

namespace fairq::driver::engine {
namespace {

/// A crash restart with recovery takes seconds; a server that is away for longer is gone.
constexpr Milliseconds kServerPatience{60'000};
/// A person who has stopped the run waits for it.
constexpr Milliseconds kPatienceOfUndoing{5'000};
/// So long nothing may move beside work that could before somebody is told.
constexpr Milliseconds kHangs{10'000};
constexpr std::size_t kWrittenAtOnce = 10'000;

double seconds_between(std::chrono::steady_clock::time_point from, std::chrono::steady_clock::time_point to) {
    return std::chrono::duration<double>(to - from).count();
}

bool stays_away() {
    return false;
}

Milliseconds patience() {
    return interrupted() ? kPatienceOfUndoing : kServerPatience;
}

} // namespace

long long foreign_jobs(RunContext &context) {
    if (context.cleared_at.empty())
        return 0; // nobody's were there when the run began
    long long foreign = 0;
    db::with_reconnect(patience(), interrupted() ? stays_away : interrupted, [&] {
        judge::Classifier classifier(context.journal, context.run_id, false);
        context.client.each_job(context.cleared_at, [&](const judge::JobRow &row) { classifier.add(row); });
        foreign = classifier.finish().foreign;
    });
    return foreign;
}

PhaseRunner::PhaseRunner(RunContext &context, const plan::Phase &phase) : context_(context), phase_(phase) {
    result_.name = phase.name;
    result_.goes_on = !phase.clear;
}

PhaseResult PhaseRunner::run() {
    start_ = result_.began = Clock::now();
    try {
        load();
    } catch (const std::exception &error) {
        result_.end = interrupted() ? PhaseEnd::interrupted : PhaseEnd::failed;
        if (!interrupted())
            result_.notes.push_back(error.what());
    }
    if (interrupted()) {
        context_.progress.note("stopping: the load has ended, what the run made is taken away");
        context_.control.undo(); // what follows stops the workers and takes the account
    }
    try {
        finish();
    } catch (const std::exception &error) {
        result_.end = interrupted() ? PhaseEnd::interrupted : PhaseEnd::failed;
        result_.notes.push_back(error.what());
    }
    result_.wall_seconds = seconds_between(start_, Clock::now());
    return std::move(result_);
}

void PhaseRunner::load() {
    prepare();
    history_ = begin_history(context_, phase_, result_, history_judge_);
    result_.actors_began = Clock::now();
    sampler_ =
        std::make_unique<actors::Sampler>(context_.control.conninfo(), context_.schema, context_.run_id);
    context_.workers.start(phase_.workers);
    start_actors();
    result_.end = watch();
    if (result_.end == PhaseEnd::timeout || result_.end == PhaseEnd::at_rest)
        explain_delay();
}

void PhaseRunner::finish() {
    stop_actors(false);
    context_.workers.stop(phase_.workers);
    stop_sampler();
    if (!interrupted() && result_.end != PhaseEnd::failed)
        for (const std::string &sql : phase_.after)
            settled([&] { context_.client.run(sql); });
    if (!context_.cleared_at.empty())
        collect();
}

void PhaseRunner::settled(const std::function<void()> &work) const {
    db::with_reconnect(patience(), interrupted() ? stays_away : interrupted, work);
}

void PhaseRunner::prepare() {
    settled([&] { result_.started_at = context_.client.server_time(); });
    if (phase_.clear)
        clear();
    if (phase_.clear || context_.cleared_at.empty())
        context_.cleared_at = result_.started_at;
    for (const std::string &sql : phase_.before)
        settled([&] { context_.client.run(sql); });
    for (const plan::SeedActor &actor : phase_.seeds)
        seed(actor);
    for (const plan::EnqueueActor &actor : phase_.enqueues)
        result_.planned_jobs += actor.planned_jobs();
    for (const plan::CallsActor &actor : phase_.calls)
        result_.planned_jobs += actor.enqueues ? std::llround(planned_calls(actor.stages)) : 0;
}

void PhaseRunner::clear() {
    if (const long long foreign = foreign_jobs(context_); foreign > 0)
        throw SetupError(fmt::format(
            "somebody else put {} load_test jobs into this database while the run went on: it stops "
            "here, because clearing its own jobs would take those too",
            foreign));
    settled([&] { context_.client.clear(); });
    context_.journal.clear();
}

/// From the job after this one on, which moves: after a lost connection it goes on where it was.
long long PhaseRunner::write_down_seeded(const plan::SeedActor &seed, long long &after) {
    std::vector<judge::JournalEntry> found;
    long long jobs = 0;
    const auto write_down = [&] {
        context_.journal.append(found);
        jobs += static_cast<long long>(found.size());
        after = found.empty() ? after : found.back().id;
        found.clear();
    };
    context_.client.each_seeded(after, seed.tenants, [&](long long id, const std::string &tenant) {
        found.push_back({id, 0, context_.journal.tenant_index(tenant), judge::Event::acknowledged});
        if (found.size() == kWrittenAtOnce)
            write_down();
    });
    write_down();
    return jobs;
}

void PhaseRunner::seed(const plan::SeedActor &seed) {
    long long after = 0;
    settled([&] { after = context_.client.newest_job(); });
    const long long before = after;
    bool called = false;
    settled([&] {
        // A call that lost its answer has either happened or not: look before calling again.
        if (called && context_.client.newest_job() > before)
            return;
        called = true;
        context_.client.seed(seed.jobs, seed.tenants);
    });
    long long there = 0;
    settled([&] { there += write_down_seeded(seed, after); });
    context_.journal.count_invoked(seed.jobs);
    seeded_ += seed.jobs;
    missing_seeds_ += std::max(0LL, seed.jobs - there);
    extra_seeds_ += std::max(0LL, there - seed.jobs);
}

void PhaseRunner::start_actors() {
    actors_ =
        actors::make_actors(phase_, {context_.control.conninfo(), context_.schema, context_.run_id,
                                     context_.seed, context_.journal, context_.cluster, context_.senders,
                                     std::make_shared<fault::WorkerPool>(context_.seed)});
}

bool PhaseRunner::loading() const {
    if (phase_.duration)
        return Clock::now() - start_ < *phase_.duration;
    return std::any_of(actors_.begin(), actors_.end(),
                       [](const auto &actor) { return actor->brings_load() && !actor->finished(); });
}

long long PhaseRunner::sent() const {
    long long sent = 0;
    for (const auto &actor : actors_)
        sent += actor->done();
    return sent;
}

PhaseEnd PhaseRunner::watch() {
    const auto every = context_.plan.sample_every;
    auto next = Clock::now();
    last_change_ = next;
    db::QueueSnapshot snapshot;
    while (true) {
        bool connected = true;
        try {
            if (context_.cluster != nullptr && context_.cluster->revive())
                context_.progress.note(fmt::format("{}: the server is back after a fault", phase_.name));
            context_.lock.keep();
            poll(snapshot);
            if (gate_failed())
                return PhaseEnd::gate_failed;
            if (const auto end = ended(snapshot))
                return *end;
            say_what_hangs();
        } catch (const db::DatabaseError &error) {
            if (interrupted())
                return PhaseEnd::interrupted;
            if (!error.connection_lost())
                throw;
            connected = false;
            ++result_.missed_samples;
            last_change_ = Clock::now(); // nobody saw whether something moved
        }
        show(snapshot, connected);
        for (next += every; next < Clock::now(); next += every)
            ++result_.missed_samples;
        if (!pause_for(std::chrono::duration_cast<Milliseconds>(next - Clock::now())))
            return PhaseEnd::interrupted;
        if (Clock::now() > std::min(start_ + phase_.timeout, context_.deadline))
            return PhaseEnd::timeout;
    }
}

void PhaseRunner::poll(db::QueueSnapshot &snapshot) {
    const auto asked = Clock::now();
    snapshot = context_.client.snapshot();
    const auto answered = Clock::now();
    SamplePoint point;
    point.at_seconds = seconds_between(start_, asked);
    point.queued = snapshot.count("queued");
    point.locked = snapshot.count("locked");
    point.completed = snapshot.count("completed");
    point.oldest_seconds = snapshot.oldest_queued_seconds;
    point.poll_ms = seconds_between(asked, answered) * 1000;
    result_.series.push_back(point);
    std::string state = std::to_string(sent());
    for (const auto &[status, count] : snapshot.by_status)
        state += fmt::format(" {}", count);
    if (state != last_state_) {
        last_change_ = answered;
        explained_ = false;
    }
    last_state_ = state;
}

std::optional<PhaseEnd> PhaseRunner::ended(const db::QueueSnapshot &snapshot) {
    if (loading())
        return std::nullopt;
    stop_actors(true);
    if (!phase_.drain)
        return PhaseEnd::sent;
    // The counts may lag behind the table after a crash: the table has the last word.
    if (snapshot.unfinished() == 0 && !context_.client.any_unfinished())
        return PhaseEnd::drained;
    if (Clock::now() - last_change_ > phase_.at_rest) {
        if (context_.client.work_may_run())
            return PhaseEnd::at_rest;
        last_change_ = Clock::now(); // all of it waits for its time
    }
    return std::nullopt;
}

/// Once for each time that nothing moves: minutes before it is called stuck.
void PhaseRunner::say_what_hangs() {
    const auto still = std::chrono::duration_cast<Milliseconds>(Clock::now() - last_change_);
    Milliseconds patience = kHangs;
    for (const plan::WorkerActor &worker : phase_.workers)
        patience += worker.every;
    if (explained_ || loading() || still < patience || !context_.client.work_may_run())
        return;
    explained_ = true;
    context_.progress.note(fmt::format("{}: nothing has moved for {}", phase_.name, format_duration(still)));
    for (const std::string &why : context_.client.stuck_report().why)
        context_.progress.note("  " + why);
}

bool PhaseRunner::gate_failed() {
    result_.wall_seconds = seconds_between(start_, Clock::now());
    result_.stopped_by = failed_early(context_.plan, result_, actors_, context_.baseline);
    if (!result_.stopped_by)
        return false;
    result_.stopped_by->note = fmt::format("ended the run after {:.0f} s", result_.wall_seconds);
    result_.notes.push_back(fmt::format("{} {} did not hold, and ended the run",
                                        result_.stopped_by->gate.metric_text,
                                        result_.stopped_by->gate.expression));
    return true;
}

void PhaseRunner::show(const db::QueueSnapshot &snapshot, bool connected) {
    LiveState state;
    state.plan = context_.plan.name;
    state.phase = phase_.name;
    state.elapsed = std::chrono::duration_cast<Milliseconds>(Clock::now() - start_);
    state.expected = seeded_ + result_.planned_jobs;
    state.completed = snapshot.count("completed");
    state.running = snapshot.count("locked");
    state.waiting = snapshot.unfinished() - state.running;
    state.oldest_seconds = snapshot.oldest_queued_seconds;
    state.missed_samples = result_.missed_samples;
    state.connected = connected;
    context_.progress.update(state);
}

/// Before the workers go: afterwards nothing shows what they hung on.
void PhaseRunner::explain_delay() {
    try {
        settled([&] {
            db::StuckReport report = context_.client.stuck_report();
            report.worker_errors = context_.workers.errors();
            result_.stuck = report;
        });
    } catch (const db::DatabaseError &error) {
        result_.notes.push_back(fmt::format("cannot tell what is stuck: {}", error.what()));
    }
}

void PhaseRunner::stop_actors(bool only_load) {
    for (auto &actor : actors_) {
        if (only_load && !actor->brings_load())
            continue;
        actors::Figures figures = actor->stop();
        figures.tags = tags_of(phase_, figures.actor);
        result_.sent_in_time += figures.in_time;
        for (const std::string &note : figures.notes)
            result_.notes.push_back(fmt::format("{}: {}", figures.actor, note));
        result_.figures.push_back(std::move(figures));
        actor.reset();
    }
    actors_.erase(std::remove(actors_.begin(), actors_.end(), nullptr), actors_.end());
}

/// What the jobs cost is known when those who ran them have gone.
void PhaseRunner::stop_sampler() {
    if (!sampler_)
        return;
    result_.system = sampler_->stop();
    sampler_.reset();
    for (const actors::Figures &figures : result_.figures)
        if (const auto found = figures.numbers.find("round_trips"); found != figures.numbers.end())
            result_.system.cost.round_trips += found->second;
    for (const std::string &note : result_.system.notes)
        result_.notes.push_back("sampler: " + note);
}

void PhaseRunner::collect() {
    settled([&] { result_.drain = context_.client.drain_times(); });
    settled([&] {
        result_.ticks.clear();
        for (const db::Tick &tick : context_.client.ticks_since(result_.started_at))
            if (tick.claimed > 0)
                result_.ticks.push_back(tick);
    });
    settled([&] { result_.outbox = context_.client.outbox_duplicates(); });
    collect_ledger();
}

void PhaseRunner::collect_ledger() {
    settled([&] {
        judge::Classifier classifier(context_.journal, context_.run_id, result_.end == PhaseEnd::at_rest);
        context_.client.each_job(context_.cleared_at, [&](const judge::JobRow &row) { classifier.add(row); });
        result_.ledger = classifier.finish();
    });
    const auto also = [&](long long &column, long long jobs, const char *what) {
        column += jobs;
        if (jobs > 0)
            result_.ledger.first_bad.push_back(fmt::format("{} {}", jobs, what));
    };
    also(result_.ledger.lost, missing_seeds_, "seeded jobs were never there");
    also(result_.ledger.unexpected, extra_seeds_, "jobs more than were seeded");
    if (history_)
        end_history(*history_, history_judge_, result_);
    if (result_.end == PhaseEnd::drained)
        look_for_leaks(context_, result_);
    if (result_.ledger.foreign > 0)
        result_.notes.push_back(
            fmt::format("{} load_test jobs of somebody else: not judged", result_.ledger.foreign));
    if (result_.outbox.anybodys > result_.outbox.keys)
        result_.notes.push_back(
            fmt::format("keys with more than one message, over everybody's messages of the last hour: {}",
                        result_.outbox.anybodys));
}

} // namespace fairq::driver::engine
