// queue_history.cpp: see queue_history.hpp. Reads what test_decoding, which comes with PostgreSQL, writes.
#include "queue_history.hpp"

#include <algorithm>
#include <sstream>
#include <stdexcept>

#include <fmt/format.h>

namespace fairq::test {

using namespace fairq::driver;

namespace {

constexpr const char *kSlot = "queue_history";
constexpr const char *kLive = "table public.job_live: ";
constexpr const char *kLimits = "table public.tenant_limits: ";
constexpr const char *kMessage = "message: transactional: 1 prefix: ";

// Of a long row only what is used; it is a hundred megabytes otherwise.
constexpr const char *kRead = R"(
SELECT xid, CASE WHEN data LIKE 'message:%' THEN data ELSE left(data, 300) END,
       substring(data FROM ' concurrency_key\[text\]:''([^'']*)'''), substring(data FROM ' lock_token\[bigint\]:(\d+)')
  FROM pg_logical_slot_get_changes('{}', NULL, NULL)
 WHERE data LIKE 'COMMIT%' OR data LIKE 'message:%' OR data LIKE 'table public.job\_live:%'
    OR data LIKE 'table public.tenant\_limits:%')";

bool begins_with(const std::string &text, const std::string &start) {
    return text.compare(0, start.size(), start) == 0;
}

/// The value of a column in a row that is written as name[type]:value, without quotes; "null" as it stands.
std::string column(const std::string &row, const std::string &name_and_type) {
    std::size_t const found = row.find(" " + name_and_type + ":");
    if (found == std::string::npos)
        throw std::logic_error("no " + name_and_type + " in: " + row);
    std::size_t const at = found + name_and_type.size() + 2;
    if (row[at] == '\'')
        return row.substr(at + 1, row.find('\'', at + 1) - at - 1);
    return row.substr(at, row.find(' ', at) - at);
}

JobChange job_change(const Row &row) {
    const std::string &text = row[1].value();
    JobChange change;
    change.id = std::stoll(column(text, "id[bigint]"));
    change.is_new = text.find(": INSERT:") != std::string::npos;
    change.gone = text.find(": DELETE:") != std::string::npos;
    if (change.gone)
        return change;
    change.tenant = column(text, "tenant_id[text]");
    change.key = row[2].value_or("");
    change.lock_token = row[3].value_or("");
    return change;
}

CapChange cap_change(const std::string &text) {
    CapChange change{column(text, "tenant_id[text]"), std::nullopt};
    if (text.find(": DELETE:") == std::string::npos)
        if (const std::string cap = column(text, "max_concurrency[integer]"); cap != "null")
            change.cap = std::stoi(cap);
    return change;
}

void add_note(Commit &commit, const std::string &text) {
    const std::string content = text.substr(text.find("content:") + 8);
    if (begins_with(text, std::string(kMessage) + "began")) {
        if (!commit.call_began)
            commit.call_began.emplace(content);
    } else if (begins_with(text, std::string(kMessage) + "ended")) {
        commit.call_ended.emplace(content);
    } else if (begins_with(text, std::string(kMessage) + "force")) {
        commit.caps_in_force.push_back(content);
    }
}

} // namespace

Snapshot::Snapshot(const std::string &text) {
    std::istringstream parts(text); // xmin:xmax:xip,xip...
    Xid oldest = 0;
    char separator = 0;
    parts >> oldest >> separator >> end_ >> separator;
    for (Xid xid = 0; parts >> xid; parts >> separator)
        in_progress_.push_back(xid);
    std::sort(in_progress_.begin(), in_progress_.end());
}

bool Snapshot::sees(Xid xid) const {
    return xid < end_ && !std::binary_search(in_progress_.begin(), in_progress_.end(), xid);
}

void begin_history(Database &database) {
    database.query(fmt::format("SELECT pg_create_logical_replication_slot('{}', 'test_decoding')", kSlot));
}

std::vector<Commit> end_history(Database &database) {
    // Only what has been flushed is read, and this commit flushes all before it.
    database.query("SET synchronous_commit = on");
    database.query(note_cap_in_force(""));
    std::vector<Commit> commits;
    Commit commit;
    for (const Row &row : database.query(fmt::format(kRead, kSlot))) {
        const std::string &text = row[1].value();
        if (begins_with(text, "COMMIT")) {
            commit.xid = std::stoull(row[0].value());
            commits.push_back(std::move(commit));
            commit = Commit{};
        } else if (begins_with(text, kLive)) {
            commit.jobs.push_back(job_change(row));
        } else if (begins_with(text, kLimits)) {
            commit.caps.push_back(cap_change(text));
        } else {
            add_note(commit, text);
        }
    }
    database.query(fmt::format("SELECT pg_drop_replication_slot('{}')", kSlot));
    return commits;
}

std::string note_call_began() {
    return "SELECT pg_logical_emit_message(true, 'began', pg_current_snapshot()::text)";
}

std::string note_call_ended() {
    return "SELECT pg_logical_emit_message(true, 'ended', pg_current_snapshot()::text)";
}

std::string note_cap_in_force(const std::string &tenant) {
    return fmt::format("SELECT pg_logical_emit_message(true, 'force', '{}')", tenant);
}

} // namespace fairq::test
