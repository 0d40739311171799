// ledger.cpp: classifies every job of a phase into exactly one column, so that
// one defect turns one number red.
#include "judge/ledger.hpp"

#include <set>

#include <fmt/format.h>

namespace fairq::driver::judge {
namespace {

constexpr std::size_t kFirstBad = 10;

class Classifier {
public:
    explicit Classifier(const LedgerInput &input) : input_(input) {
        ledger_.attempted = input.attempted;
        ledger_.acknowledged = static_cast<long long>(input.accepted.size());
        ledger_.unknown = static_cast<long long>(input.unknown_keys.size());
    }

    Ledger run() {
        for (const JobRow &row : input_.rows)
            rows_[row.id].push_back(&row);
        for (const AcceptedJob &job : input_.accepted)
            account(job.id, job.tenant);
        adopt_unknown();
        for (const auto &[id, rows] : rows_)
            if (known_.count(id) == 0)
                bad(ledger_.unexpected, id, "nobody enqueued it");
        for (const auto &[id, count] : input_.messages)
            if (known_.count(id) == 0 && rows_.count(id) == 0)
                bad(ledger_.outbox, id, "a message, but no job");
        return ledger_;
    }

private:
    void bad(long long &column, long long id, const std::string &why) {
        ++column;
        if (ledger_.first_bad.size() < kFirstBad)
            ledger_.first_bad.push_back(fmt::format("job {}: {}", id, why));
    }

    /// Enqueues without an answer that did arrive are jobs like any other.
    void adopt_unknown() {
        const std::set<std::string> keys(input_.unknown_keys.begin(), input_.unknown_keys.end());
        for (const JobRow &row : input_.rows)
            if (known_.count(row.id) == 0 && !row.idempotency_key.empty() &&
                keys.count(row.idempotency_key) != 0) {
                ++ledger_.recovered;
                account(row.id, row.tenant);
            }
    }

    void account(long long id, const std::string &tenant) {
        if (!known_.insert(id).second)
            return bad(ledger_.duplicated, id, "acknowledged twice");
        ++ledger_.tenant_jobs[tenant];
        const auto found = rows_.find(id);
        if (found == rows_.end())
            return bad(ledger_.lost, id, "acknowledged, but gone");
        if (found->second.size() > 1)
            return bad(ledger_.duplicated, id, fmt::format("there are {} rows", found->second.size()));
        judge_row(*found->second.front());
    }

    void judge_row(const JobRow &row) {
        const auto found = input_.messages.find(row.id);
        const long long messages = found == input_.messages.end() ? 0 : found->second;
        if (row.status == "completed")
            ++ledger_.tenant_completed[row.tenant];
        if (messages > 1)
            return bad(ledger_.duplicated, row.id, fmt::format("{} messages", messages));
        if (row.status == "dead" || row.status == "cancelled")
            return messages == 0 ? bad(ledger_.dead, row.id, row.status)
                                 : bad(ledger_.outbox, row.id, row.status + ", but sent");
        if (row.status != "completed")
            return input_.at_rest ? bad(ledger_.stuck, row.id, row.status)
                                  : static_cast<void>(++ledger_.unfinished);
        if (messages == 0)
            return bad(ledger_.outbox, row.id, "completed, but nothing was sent");
        ++ledger_.completed;
    }

    const LedgerInput &input_;
    Ledger ledger_;
    std::map<long long, std::vector<const JobRow *>> rows_;
    std::set<long long> known_;
};

} // namespace

Ledger classify(const LedgerInput &input) {
    return Classifier(input).run();
}

Ledger &Ledger::operator+=(const Ledger &other) {
    const auto add = [&](long long Ledger::*column) { this->*column += other.*column; };
    for (auto column : {&Ledger::attempted, &Ledger::acknowledged, &Ledger::unknown, &Ledger::completed,
                        &Ledger::lost, &Ledger::duplicated, &Ledger::unexpected, &Ledger::stuck,
                        &Ledger::unfinished, &Ledger::outbox, &Ledger::dead, &Ledger::recovered})
        add(column);
    for (const auto &[tenant, count] : other.tenant_jobs)
        tenant_jobs[tenant] += count;
    for (const auto &[tenant, count] : other.tenant_completed)
        tenant_completed[tenant] += count;
    for (const std::string &text : other.first_bad)
        if (first_bad.size() < kFirstBad)
            first_bad.push_back(text);
    return *this;
}

} // namespace fairq::driver::judge
