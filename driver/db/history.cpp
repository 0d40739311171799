// history.cpp: see history.hpp. Reads what test_decoding, which comes with PostgreSQL, writes.
#include "db/history.hpp"

#include <stdexcept>

#include <fmt/format.h>

namespace fairq::driver::db {

using judge::CapChange;
using judge::Commit;
using judge::JobChange;

namespace {

constexpr const char *kMessage = "message: transactional: 1 prefix: ";

/// Of a statement: the beginning waits for the transactions that run.
constexpr std::chrono::milliseconds kPatience{60'000};

/// Of a transaction that is longer, all is read.
constexpr int kReadAtOnce = 100'000;

// Of a long row only what is used; it is a hundred megabytes otherwise.
constexpr const char *kRead = R"(
SELECT xid, CASE WHEN data LIKE 'message:%' THEN data ELSE left(data, 300) END,
       substring(data FROM ' concurrency_key\[text\]:''([^'']*)'''), substring(data FROM ' lock_token\[bigint\]:(\d+)')
  FROM pg_logical_slot_get_changes($1, NULL, $2::integer)
 WHERE data LIKE 'COMMIT%' OR data LIKE 'message:%' OR starts_with(data, $3) OR starts_with(data, $4))";

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

History::History(const std::string &conninfo, const std::string &name, std::string schema)
    : database_(conninfo, "history " + name, kPatience), name_("fairq_history_" + name),
      schema_(std::move(schema)) {}

std::string History::obstacle() {
    if (database_.scalar("SELECT current_setting('wal_level')") != Cell("logical"))
        return "the server has no wal_level = logical";
    if (database_.scalar("SELECT rolsuper OR rolreplication FROM pg_roles WHERE rolname = current_user") !=
        Cell("t"))
        return "the role may not replicate";
    return "";
}

void History::begin() {
    database_.query("SELECT pg_create_logical_replication_slot($1, 'test_decoding', true)", {name_});
    backend_ = database_.backend_pid();
}

bool History::read_some(Commit &commit, const std::function<void(const Commit &)> &take) {
    const std::string live = fmt::format("table {}.job_live: ", schema_);
    const std::string limits = fmt::format("table {}.tenant_limits: ", schema_);
    bool some = false;
    for (const Row &row : database_.query(kRead, {name_, std::to_string(kReadAtOnce), live, limits})) {
        const std::string &text = row[1].value();
        some = true;
        if (begins_with(text, "COMMIT")) {
            commit.xid = std::stoull(row[0].value());
            take(commit);
            commit = Commit{};
        } else if (begins_with(text, live)) {
            commit.jobs.push_back(job_change(row));
        } else if (begins_with(text, limits)) {
            commit.caps.push_back(cap_change(text));
        } else {
            add_note(commit, text);
        }
    }
    return some;
}

void History::end(const std::function<void(const Commit &)> &take) {
    // Only what has been flushed is read, and this commit flushes all before it.
    database_.query("SET synchronous_commit = on");
    database_.query(note_cap_in_force(""));
    if (database_.backend_pid() != backend_)
        throw DatabaseError("the session that kept the history was lost, and the history with it", "", true);
    Commit commit;
    while (read_some(commit, take)) {
    }
    database_.disconnect();
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

} // namespace fairq::driver::db
