// account.cpp: see account.hpp.
#include "engine/account.hpp"

#include "interrupt.hpp"

namespace fairq::driver::engine {
namespace {

constexpr Milliseconds kGoesWithin{5'000};
constexpr Milliseconds kNap{100};

} // namespace

std::unique_ptr<db::History> begin_history(RunContext &context, const plan::Phase &phase, PhaseResult &result,
                                           judge::HistoryJudge &judge) {
    if (!phase.history)
        return nullptr;
    auto history = std::make_unique<db::History>(context.control.conninfo(), context.run_id, context.schema);
    try {
        result.no_history = history->obstacle();
        if (!result.no_history.empty())
            return nullptr;
        history->begin();
    } catch (const db::DatabaseError &error) {
        result.no_history = error.what();
        return nullptr;
    }
    for (const auto &[tenant, cap] : context.client.caps())
        judge.has_cap(tenant, cap);
    return history;
}

void end_history(db::History &history, judge::HistoryJudge &judge, PhaseResult &result) {
    try {
        history.end([&](const judge::Commit &commit) { judge.see(commit); });
    } catch (const db::DatabaseError &error) {
        result.notes.push_back(error.what());
        return;
    }
    const judge::Judgement found = judge.result();
    result.judged_claims = found.claims;
    result.ledger.add_found(&judge::Ledger::cap_violations, found.over_cap);
    result.ledger.add_found(&judge::Ledger::key_violations, found.double_keys);
    result.ledger.add_found(&judge::Ledger::lease_overlaps, found.double_claims);
}

void look_for_leaks(RunContext &context, PhaseResult &result) {
    std::vector<std::string> found;
    try {
        const auto patience = std::chrono::steady_clock::now() + kGoesWithin;
        do
            found = context.client.leaks(result.started_at);
        while (!found.empty() && std::chrono::steady_clock::now() < patience && pause_for(kNap));
    } catch (const db::DatabaseError &error) {
        result.notes.push_back(std::string("nobody looked for what was left behind: ") + error.what());
        return;
    }
    result.leaks_looked = true;
    result.ledger.add_found(&judge::Ledger::leaks, found);
}

} // namespace fairq::driver::engine
