// cleanup.cpp: fairq cleanup: takes away what a run left behind whose driver was killed outright: its
// schedules, its sessions, its jobs, and the folders of throw-away clusters whose server is gone.
#include <algorithm>

#include <fmt/format.h>

#include "cli/output.hpp"
#include "cli/verbs.hpp"
#include "db/cron.hpp"
#include "db/queue_client.hpp"
#include "db/run_lock.hpp"
#include "errors.hpp"
#include "fault/cluster.hpp"

namespace fairq::driver::cli {
namespace {

constexpr Milliseconds kPatience{600'000};

class Cleanup {
public:
    Cleanup(const std::string &conninfo, std::string run_id)
        : database_(conninfo, "cleanup", kPatience), lock_(conninfo, "cleanup"), run_id_(std::move(run_id)) {}

    void run() {
        const db::ServerInfo server = db::inspect_server(database_);
        lock_.take(); // a run that goes on is nothing to clean up
        db::RunNotes notes(database_);
        const std::vector<db::RunNote> runs = notes.all();
        const auto wanted = [&](const db::RunNote &note) {
            return run_id_.empty() || note.run_id == run_id_;
        };
        if (!run_id_.empty() && std::none_of(runs.begin(), runs.end(), wanted))
            throw SetupError(fmt::format("there is no run {} to clean up in {}", run_id_, server.place));
        const auto others =
            std::count_if(runs.begin(), runs.end(), [&](const auto &note) { return !wanted(note); });
        for (const db::RunNote &note : runs)
            if (wanted(note))
                take_away(note, notes, server.schema);
        if (others == 0) // clear_load_test_data() takes those of all runs
            clear(server.schema);
    }

private:
    void take_away(const db::RunNote &note, db::RunNotes &notes, const std::string &schema) {
        print(stdout, fmt::format("run {} of {}, begun {}\n", note.run_id, note.plan, note.started_at));
        db::CronJobs cron(database_, schema);
        for (const std::string &job : note.cron_jobs)
            if (cron.take_over(job))
                print(stdout, fmt::format("  cron job {} removed\n", job));
        const auto sessions = database_.query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
            "AND pid <> pg_backend_pid() AND application_name LIKE 'fairq %' AND application_name LIKE '% ' "
            "|| $1",
            {note.run_id});
        if (!sessions.empty())
            print(stdout, fmt::format("  {} sessions ended\n", sessions.size()));
        notes.remove(note.run_id);
    }

    void clear(const std::string &schema) {
        const long long jobs = db::QueueClient(database_, schema).clear();
        print(stdout, fmt::format("{} load_test jobs removed\n", jobs));
    }

    db::Database database_;
    db::RunLock lock_;
    std::string run_id_;
};

} // namespace

int cleanup(const Options &options) {
    for (const std::string &folder : fault::remove_abandoned_clusters())
        print(stdout, fmt::format("throw-away cluster {} removed\n", folder));
    const auto conninfo = chosen_conninfo(options);
    if (!conninfo && !options.run_id.empty())
        throw UsageError("--run-id needs the database of the run: --dsn, -d, …");
    try {
        if (conninfo)
            Cleanup(*conninfo, options.run_id).run();
    } catch (const db::DatabaseError &error) {
        throw SetupError(fmt::format("cannot use the database: {}", error.what()));
    }
    return exit_code(with_output(judge::Outcome::pass, print(stdout, "1 passed, 0 failed\n")));
}

} // namespace fairq::driver::cli
