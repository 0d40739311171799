// A tick from its caller's side, and the loop of ticks for schedulers that know minutes only. The work is
// done by background workers (tick_process.cpp); the caller waits, and if it ends, they end.
#include "pg/clock.hpp"
#include "pg/interrupts.hpp"
#include "queue/access.hpp"
#include "ticks/left_handlers.hpp"
#include "ticks/ticks.hpp"

namespace fairq::ticks {

namespace {

constexpr uint32 kSummaryBase = 16 * 1024;
constexpr uint32 kSummaryPerJob = 6 * core::kMaxNameBytes + 32; // a tenant, every byte of it escaped
constexpr uint32 kSummaryMost = 16 * 1024 * 1024;

constexpr long kPollMilliseconds = 100;
constexpr int64 kLeast = core::kSecond; // for the last tick of a loop

// By the clock of pg::monotonic_now().
struct Time {
    int64 deadline, patience;
};

TickRequest request_of(int workers, Time time, std::string_view queue) {
    TickRequest request{MyDatabaseId,
                        GetSessionUserId(),
                        pg::current_role(),
                        pg::schema(),
                        workers,
                        pg::settings::tick_jobs_per_worker(),
                        pg::settings::tick_tenant_cap(),
                        time.deadline,
                        time.patience,
                        {}};
    queue.copy(request.queue, core::kMaxQueueBytes);
    return request;
}

uint32 summary_size(const TickRequest &request) {
    auto const jobs = static_cast<uint64>(request.workers) * static_cast<uint64>(request.jobs_per_worker);
    return static_cast<uint32>(std::min<uint64>(kSummaryBase + jobs * kSummaryPerJob, kSummaryMost));
}

// How many of so many workers are free: the others run handlers that earlier ticks have left. If all do, it waits for one
// of them, until the deadline.
int free_workers(int workers, int64 deadline) {
    Oid const queue = tables::live_table_oid(pg::schema());
    for (;;) {
        int const free = workers - left_handlers(queue);
        if (free > 0 || pg::monotonic_now() >= deadline)
            return std::max(free, 0);
        pg::sleep_interruptibly(kPollMilliseconds);
    }
}

std::string tick_in(int workers, Time time, std::string_view queue) {
    pg::refuse_on_standby("a tick");
    queue::check_unbound(queue::Capability::worker); // it claims jobs of all tenants
    if (TransactionIdIsValid(GetTopTransactionIdIfAny()))
        pg::raise_in_transaction();
    if (Oid const role = GetSessionUserId(); !pg::role_can_login(role))
        pg::raise_role_cannot_login(pg::role_name(role));
    TickRequest const request = request_of(free_workers(workers, time.deadline), time, queue);
    return run_processes(request, summary_size(request));
}

} // namespace

std::string tick(int workers, std::string_view queue) {
    return tick_in(
        workers, {pg::monotonic_now() + pg::settings::tick_deadline(), pg::settings::tick_patience()}, queue);
}

// A handler that runs for longer than an interval does not hold up the next tick, which has the other workers.
void run_ticks(int workers, int64 every, int64 during, const std::string &queue) {
    pg::commit_and_chain(); // lets go of the caller's snapshot, which would pin the horizon
    int64 const start = pg::monotonic_now(), end = start + during;
    for (int64 next = start; next < end;) {
        int64 const now = pg::monotonic_now(), until = std::max(end, now + std::min(every, kLeast));
        Time const time{std::min(until, now + pg::settings::tick_deadline()),
                        std::min(every, pg::settings::tick_patience())};
        // What it asks first is prepared with its owner's rights.
        pg::with_own_names([&] { tick_in(workers, time, queue); });
        pg::commit_and_chain();
        // A tick that took longer than the interval costs the ones that it covered.
        next += every * std::max<int64>(1, (pg::monotonic_now() - next + every - 1) / every);
        for (int64 time_now = pg::monotonic_now(); time_now < std::min(next, end);
             time_now = pg::monotonic_now())
            pg::sleep_interruptibly(static_cast<long>((std::min(next, end) - time_now) / 1000 + 1));
    }
}

} // namespace fairq::ticks
