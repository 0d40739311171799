// ledger.cpp: classifies every job of a phase into exactly one column, so that
// one defect turns one number red.
#include "judge/ledger.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace fairq::driver::judge {
namespace {

constexpr std::size_t kFirstBad = 10;

} // namespace

Classifier::Classifier(const Journal &journal, std::string run_id, bool at_rest)
    : journal_(journal), run_id_(std::move(run_id)), at_rest_(at_rest),
      jobs_(journal.by_id(Event::acknowledged, Event::acknowledged)),
      completions_(journal.by_id(Event::completed, Event::completion_unknown)), next_(jobs_.next()),
      next_completion_(completions_.next()), unknown_(journal.unknown_numbers()) {
    const JournalCounts counts = journal.counts();
    ledger_.attempted = counts.invoked;
    ledger_.acknowledged = counts.acknowledged;
    ledger_.failed = counts.failed;
    ledger_.unknown = counts.unknown;
}

void Classifier::bad(long long &column, long long id, const std::string &why) {
    ++column;
    if (ledger_.first_bad.size() < kFirstBad)
        ledger_.first_bad.push_back(fmt::format("job {}: {}", id, why));
}

void Classifier::add(const JobRow &row) {
    if (last_rows_ > 0 && row.id == last_.id) {
        ++last_rows_;
        return;
    }
    if (last_rows_ > 0)
        account(last_);
    last_ = row;
    last_rows_ = 1;
    add_completions(last_);
}

Ledger Classifier::finish() {
    if (last_rows_ > 0)
        account(last_);
    while (next_ != nullptr)
        pass_lost(next_->id);
    for (auto &[run, jobs] : staged_)
        ledger_.add_found(&Ledger::out_of_order, judge::out_of_order(std::move(jobs)));
    ledger_.vanished = ledger_.unknown - ledger_.recovered;
    return std::move(ledger_);
}

void Classifier::add_completions(JobRow &row) {
    while (next_completion_ != nullptr && next_completion_->id < row.id)
        next_completion_ = completions_.next();
    bool unknown = false;
    for (; next_completion_ != nullptr && next_completion_->id == row.id;
         next_completion_ = completions_.next())
        if (next_completion_->event == Event::completed)
            ++row.messages;
        else
            unknown = true;
    if (unknown && row.messages == 0 && row.status == "completed")
        row.messages = 1; // it was accepted, then
}

/// The next acknowledged job; one that was acknowledged twice is passed over, and counted.
JournalEntry Classifier::take_acknowledged() {
    const JournalEntry taken = *next_;
    for (next_ = jobs_.next(); next_ != nullptr && next_->id == taken.id; next_ = jobs_.next())
        bad(ledger_.duplicated, taken.id, "acknowledged twice");
    ++ledger_.tenant_jobs[journal_.tenant(taken.tenant)];
    return taken;
}

void Classifier::pass_lost(long long id) {
    take_acknowledged();
    bad(ledger_.lost, id, "acknowledged, but gone");
}

void Classifier::account(const JobRow &row) {
    while (next_ != nullptr && next_->id < row.id)
        pass_lost(next_->id);
    const bool known = next_ != nullptr && next_->id == row.id;
    if (!known)
        return judge_stranger(row);
    const std::uint64_t number = take_acknowledged().number;
    if (row.status.empty())
        return bad(ledger_.lost, row.id, "acknowledged and sent, but gone");
    if (last_rows_ > 1)
        return bad(ledger_.duplicated, row.id, fmt::format("there are {} rows", last_rows_));
    if (const std::uint64_t found = parse_job_key(run_id_, row.idempotency_key);
        found != 0 && found != number)
        return bad(ledger_.duplicated, row.id, "acknowledged for another key");
    judge_known(row);
}

/// Nobody acknowledged it: an enqueue without an answer that did arrive, a job too many, or somebody else's.
void Classifier::judge_stranger(const JobRow &row) {
    if (row.status.empty())
        return bad(ledger_.outbox, row.id, "a message, but no job");
    const std::uint64_t number = parse_job_key(run_id_, row.idempotency_key);
    if (number == 0) {
        ++ledger_.foreign;
        return;
    }
    if (!std::binary_search(unknown_.begin(), unknown_.end(), number))
        return bad(ledger_.unexpected, row.id, "nobody enqueued it");
    ++ledger_.recovered;
    ++ledger_.tenant_jobs[row.tenant];
    judge_known(row);
}

void Classifier::judge_known(const JobRow &row) {
    ledger_.executed_again += std::max(0LL, row.attempts - 1);
    if (row.early)
        bad(ledger_.early, row.id, "claimed before it was to run");
    if (row.pipeline_run != 0 && row.status == "completed")
        staged_[row.pipeline_run].push_back({row.id, row.stage, row.claimed_at, row.ended_at});
    if (row.status == "completed")
        ++ledger_.tenant_completed[row.tenant];
    if (row.messages > 1)
        return bad(ledger_.duplicated, row.id,
                   fmt::format("{} messages or accepted completions", row.messages));
    if (row.messages == 1 && row.status != "completed" && row.status != "dead" && row.status != "cancelled")
        return bad(ledger_.outbox, row.id, row.status + ", but sent, or its completion was accepted");
    if (row.status == "dead" || row.status == "cancelled")
        return row.messages == 0 ? bad(ledger_.dead, row.id, row.status)
                                 : bad(ledger_.outbox, row.id, row.status + ", but sent");
    if (row.status != "completed")
        return at_rest_ && row.may_run ? bad(ledger_.stuck, row.id, row.status)
                                       : static_cast<void>(++ledger_.unfinished);
    if (row.messages == 0)
        return bad(ledger_.outbox, row.id, "completed, but nothing was sent");
    ++ledger_.completed;
}

void Ledger::add_found(long long Ledger::*column, const std::vector<std::string> &sentences) {
    this->*column += static_cast<long long>(sentences.size());
    for (const std::string &sentence : sentences)
        if (first_bad.size() < kFirstBad)
            first_bad.push_back(sentence);
}

Ledger &Ledger::operator+=(const Ledger &other) {
    for (auto column :
         {&Ledger::attempted,      &Ledger::acknowledged,  &Ledger::failed,         &Ledger::unknown,
          &Ledger::recovered,      &Ledger::vanished,      &Ledger::completed,      &Ledger::lost,
          &Ledger::duplicated,     &Ledger::unexpected,    &Ledger::stuck,          &Ledger::unfinished,
          &Ledger::outbox,         &Ledger::dead,          &Ledger::executed_again, &Ledger::foreign,
          &Ledger::early,          &Ledger::out_of_order,  &Ledger::leaks,          &Ledger::cap_violations,
          &Ledger::key_violations, &Ledger::lease_overlaps})
        this->*column += other.*column;
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
