// phase.cpp: see phase.hpp. Times that decide a gate come from the server's clock;
// this clock only says when to look.
#include "engine/phase.hpp"

#include <set>

#include <fmt/format.h>

#include "interrupt.hpp"

namespace fairq::driver::engine {
namespace {

/// A crash restart with recovery takes seconds; a server that is away for longer is gone.
constexpr Milliseconds kServerPatience{60'000};

double seconds_between(std::chrono::steady_clock::time_point from, std::chrono::steady_clock::time_point to) {
    return std::chrono::duration<double>(to - from).count();
}

} // namespace

PhaseRunner::PhaseRunner(RunContext &context, const plan::Phase &phase) : context_(context), phase_(phase) {
    result_.name = phase.name;
}

PhaseResult PhaseRunner::run() {
    start_ = Clock::now();
    prepare();
    context_.workers.start(phase_.workers);
    start_senders();
    result_.end = watch();
    if (result_.end == PhaseEnd::timeout || result_.end == PhaseEnd::at_rest)
        explain_delay();
    finish_senders();
    context_.workers.stop(phase_.workers);
    if (result_.end != PhaseEnd::interrupted)
        for (const std::string &sql : phase_.after)
            settled([&] { context_.client.run(sql); });
    collect();
    result_.wall_seconds = seconds_between(start_, Clock::now());
    return std::move(result_);
}

void PhaseRunner::settled(const std::function<void()> &work) const {
    db::with_reconnect(kServerPatience, interrupted, work);
}

void PhaseRunner::prepare() {
    settled([&] {
        if (phase_.clear)
            context_.client.clear();
    });
    for (const std::string &sql : phase_.before)
        settled([&] { context_.client.run(sql); });
    settled([&] { result_.started_at = context_.client.server_time(); });
    for (const plan::SeedActor &actor : phase_.seeds)
        seed(actor);
    for (const plan::EnqueueActor &actor : phase_.enqueues)
        result_.planned_jobs += actor.planned_jobs();
}

void PhaseRunner::seed(const plan::SeedActor &seed) {
    std::set<long long> there;
    settled([&] {
        there.clear();
        for (const judge::JobRow &row : context_.client.jobs())
            there.insert(row.id);
    });
    std::vector<judge::AcceptedJob> added;
    bool called = false;
    settled([&] {
        const auto look = [&] {
            added.clear();
            for (const judge::JobRow &row : context_.client.jobs())
                if (there.count(row.id) == 0)
                    added.push_back({row.id, row.tenant});
        };
        // A call that lost its answer has either happened or not: look before calling again.
        if (called)
            look();
        called = true;
        if (added.empty())
            context_.client.seed(seed.jobs, seed.tenants);
        look();
    });
    seeded_ += seed.jobs;
    seed_shortfall_ += std::max(0LL, seed.jobs - static_cast<long long>(added.size()));
    ledger_.accepted.insert(ledger_.accepted.end(), added.begin(), added.end());
}

void PhaseRunner::start_senders() {
    for (std::size_t i = 0; i < phase_.enqueues.size(); ++i)
        senders_.push_back(std::make_unique<actors::LoadSender>(
            phase_.enqueues[i],
            actors::LoadSender::Run{context_.control.conninfo(), context_.schema,
                                    fmt::format("{}-{}-{}", context_.run_id, phase_.name, i),
                                    context_.seed + i}));
}

bool PhaseRunner::sending() const {
    for (const auto &sender : senders_)
        if (!sender->finished())
            return true;
    return false;
}

long long PhaseRunner::sent() const {
    long long sent = 0;
    for (const auto &sender : senders_)
        sent += sender->sent();
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
            poll(snapshot);
            if (const auto end = ended(snapshot))
                return *end;
        } catch (const db::DatabaseError &error) {
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
    if (state != last_state_)
        last_change_ = answered;
    last_state_ = state;
}

std::optional<PhaseEnd> PhaseRunner::ended(const db::QueueSnapshot &snapshot) {
    const auto now = Clock::now();
    if (phase_.duration)
        return now - start_ >= *phase_.duration ? std::optional(PhaseEnd::time) : std::nullopt;
    if (sending())
        return std::nullopt;
    // The counts may lag behind the table after a crash: the table has the last word.
    if (snapshot.unfinished() == 0 && !context_.client.any_unfinished())
        return PhaseEnd::drained;
    if (now - last_change_ > phase_.at_rest)
        return PhaseEnd::at_rest;
    return std::nullopt;
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

void PhaseRunner::finish_senders() {
    for (const auto &sender : senders_) {
        actors::LoadResult load = sender->stop();
        ledger_.accepted.insert(ledger_.accepted.end(), load.accepted.begin(), load.accepted.end());
        ledger_.unknown_keys.insert(ledger_.unknown_keys.end(), load.unknown_keys.begin(),
                                    load.unknown_keys.end());
        result_.sent_in_time += load.sent_in_time;
        result_.call_ms.insert(result_.call_ms.end(), load.call_ms.begin(), load.call_ms.end());
        result_.lag_ms.insert(result_.lag_ms.end(), load.lag_ms.begin(), load.lag_ms.end());
        if (!load.error.empty())
            result_.notes.push_back("the sender gave up: " + load.error);
    }
    senders_.clear();
}

void PhaseRunner::collect() {
    settled([&] { result_.drain = context_.client.drain_times(); });
    settled([&] {
        result_.ticks.clear();
        for (const db::Tick &tick : context_.client.ticks_since(result_.started_at))
            if (tick.claimed > 0)
                result_.ticks.push_back(tick);
    });
    settled([&] { result_.outbox_duplicates = context_.client.outbox_duplicates(); });
    settled([&] { result_.reported_duplicates = context_.client.snapshot().duplicates; });
    collect_ledger();
}

void PhaseRunner::collect_ledger() {
    ledger_.attempted = seeded_ + static_cast<long long>(ledger_.unknown_keys.size());
    ledger_.attempted += static_cast<long long>(ledger_.accepted.size()) - (seeded_ - seed_shortfall_);
    ledger_.at_rest = result_.end == PhaseEnd::at_rest;
    settled([&] {
        // Jobs first: a job seen as completed has committed its message already.
        ledger_.rows = context_.client.jobs();
        ledger_.messages = context_.client.messages_since(result_.started_at);
    });
    result_.ledger = judge::classify(ledger_);
    if (seed_shortfall_ > 0) {
        result_.ledger.lost += seed_shortfall_;
        result_.ledger.first_bad.push_back(fmt::format("{} seeded jobs were never there", seed_shortfall_));
    }
}

} // namespace fairq::driver::engine
