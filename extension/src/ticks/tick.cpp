// A tick from its caller's side, and the loop of ticks for schedulers that know minutes only. The work is
// done by background workers (tick_process.cpp); the caller waits, and if it ends, they end.
#include "pg/clock.hpp"
#include "pg/interrupts.hpp"
#include "queue/access.hpp"
#include "ticks/ticks.hpp"

namespace fairq::ticks {

namespace {

constexpr uint32 kSummaryBase = 16 * 1024;
constexpr uint32 kSummaryPerJob = 6 * core::kMaxNameBytes + 32; // a tenant, every byte of it escaped
constexpr uint32 kSummaryMost = 16 * 1024 * 1024;

TickRequest request_of(int workers) {
    return {MyDatabaseId,
            GetSessionUserId(),
            pg::current_role(),
            pg::schema(),
            workers,
            pg::settings::tick_jobs_per_worker(),
            pg::settings::tick_tenant_cap()};
}

uint32 summary_size(const TickRequest &request) {
    auto const jobs = static_cast<uint64>(request.workers) * static_cast<uint64>(request.jobs_per_worker);
    return static_cast<uint32>(std::min<uint64>(kSummaryBase + jobs * kSummaryPerJob, kSummaryMost));
}

} // namespace

std::string tick(int workers) {
    pg::refuse_on_standby("a tick");
    queue::check_unbound(queue::Capability::worker); // it claims jobs of all tenants
    if (TransactionIdIsValid(GetTopTransactionIdIfAny()))
        pg::raise_in_transaction();
    TickRequest const request = request_of(workers);
    if (!pg::role_can_login(request.session_role))
        pg::raise_role_cannot_login(pg::role_name(request.session_role));
    return run_processes(request, summary_size(request));
}

void run_ticks(int workers, int64 every, int64 during) {
    pg::commit_and_chain(); // lets go of the caller's snapshot, which would pin the horizon
    int64 const start = pg::monotonic_now(), end = start + during;
    for (int64 next = start; next < end;) {
        pg::with_own_names([&] { tick(workers); }); // what it asks first is prepared with its owner's rights
        pg::commit_and_chain();
        // A tick that took longer than the interval costs the ones that it covered.
        next += every * std::max<int64>(1, (pg::monotonic_now() - next + every - 1) / every);
        for (int64 now = pg::monotonic_now(); now < std::min(next, end); now = pg::monotonic_now())
            pg::sleep_interruptibly(static_cast<long>((std::min(next, end) - now) / 1000 + 1));
    }
}

} // namespace fairq::ticks
