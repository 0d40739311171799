// group_claims.cpp: claim + complete against the floors and against what a user would pick instead, by
// connections, batch and commit mode.
#include <algorithm>
#include <iterator>
#include <map>

#include <fmt/format.h>

#include "groups.hpp"
#include "work.hpp"

namespace fairq::bench {
namespace {

constexpr long long kTenants = 10;
constexpr int kFew = 8; // connections; more get more jobs, or the first use of memory would dominate
constexpr long long kSlowerClaims = 10; // times fewer jobs for a claim that reads all that is queued

struct Aim {
    const Contender *who, *against;
    Bound bound;
};

struct Contest {
    std::string name, database;
    Contenders contenders;
    Contenders against; ///< columns of ratios
    std::vector<Setting> settings;
    long long jobs;   ///< a measurement, of few connections
    long long queued; ///< at least, at the start
    std::vector<Aim> aims;
};

using AllFigures = std::map<std::string, std::map<std::string, Figures>>; // by setting, by contender

long long jobs_of(const Contest &contest, const Contender &contender, const Setting &setting) {
    const bool slow = &contender == &window_claim();
    const long long jobs = contest.jobs * std::max(setting.connections, kFew) / kFew;
    return std::max<long long>(slow ? jobs / kSlowerClaims : jobs, setting.batch) / setting.batch *
           setting.batch;
}

/// Loads each table once: with what all its contenders are going to take in all settings.
void load(const Contest &contest, Connection &admin, const std::vector<Setting> &settings) {
    std::map<std::string, long long> queued; // by table
    std::map<std::string, const Contender *> loader;
    for (const Contender *contender : contest.contenders)
        for (const Setting &setting : settings) {
            queued[contender->table] += needed(setting, jobs_of(contest, *contender, setting));
            loader[contender->table] = contender;
        }
    admin.run("CHECKPOINT"); // now, so that no contender has to log whole pages later
    for (const auto &[table, contender] : loader)
        contender->load(admin, {std::max(queued[table], contest.queued), kTenants});
}

/// In each setting the contenders come right after one another, because they are compared with each other and
/// the machine may be another a minute later.
void play(const Contest &contest, Connection &admin, const std::vector<Setting> &settings,
          const Contenders &order, AllFigures &all) {
    load(contest, admin, settings);
    std::map<std::string, long long> next; // by contender
    for (const Setting &setting : settings)
        for (const Contender *contender : order) {
            long long &first = next.try_emplace(contender->name, 1).first->second;
            first = work_off(admin, contest.database, *contender, setting, first,
                             jobs_of(contest, *contender, setting), all[setting.name()][contender->name]);
        }
    for (const Contender *contender : order)
        contender->clear(admin);
}

std::string judge(Report &report, const Contest &contest, const Setting &setting, const Contender &contender,
                  std::map<std::string, Figures> &figures) {
    std::string verdicts;
    for (const Aim &aim : contest.aims) {
        if (aim.who != &contender)
            continue;
        const Samples ratio = figures[contender.name].rate.over(figures[aim.against->name].rate);
        const std::string verdict = report.target(
            fmt::format("{}, {}: {} x {}", contest.name, setting.name(), contender.name, aim.against->name),
            ratio.median(), aim.bound);
        if (!verdict.empty())
            verdicts += fmt::format("{}x {} {}", verdicts.empty() ? "" : ", ", aim.against->name, verdict);
    }
    return verdicts;
}

void print(Report &report, const Contest &contest, AllFigures &all) {
    std::vector<Fields> rows;
    for (const Setting &setting : contest.settings)
        for (const Contender *contender : contest.contenders) {
            std::map<std::string, Figures> &figures = all[setting.name()];
            const Figures &own = figures[contender->name];
            Fields row{
                {"setting", setting.name()}, {"contender", contender->name}, {"jobs/s", figure(own.rate, 0)}};
            for (const Contender *other : contest.against)
                row["x " + other->name] = figure(own.rate.over(figures[other->name].rate), 2);
            row["claim ms"] = own.claim_ms.median();
            row["p99"] = own.claim_p99_ms.median();
            row["complete ms"] = own.complete_ms.median();
            row["WAL bytes/job"] = own.wal.median();
            row["target"] = judge(report, contest, setting, *contender, figures);
            rows.push_back(row);
        }
    std::string note = fmt::format("batches of {}, {} tenants, {} jobs a measurement (with more than {} "
                                   "connections more), vacuumed before each",
                                   contest.settings.front().batch, kTenants, contest.jobs, kFew);
    for (const Contender *contender : contest.contenders)
        note += fmt::format("\n  {}: {}", contender->name, contender->about);
    report.table(contest.name, note, rows);
}

AllFigures measure(const Contest &contest, int rounds) {
    make_database(contest.database);
    Connection admin(contest.database);
    AllFigures all;
    Contenders order = contest.contenders;
    for (int round = 0; round < rounds; ++round) {
        for (const bool synchronous : {false, true}) { // all at once would not fit into shared_buffers
            std::vector<Setting> settings;
            std::copy_if(contest.settings.begin(), contest.settings.end(), std::back_inserter(settings),
                         [&](const Setting &setting) { return setting.synchronous == synchronous; });
            play(contest, admin, settings, order, all);
        }
        std::reverse(order.begin(), order.end()); // so that no contender is always the first
    }
    return all;
}

std::vector<Setting> settings(const std::vector<int> &connections, int batch) {
    std::vector<Setting> all;
    for (const bool synchronous : {false, true})
        for (const int count : connections)
            all.push_back({count, synchronous, batch});
    return all;
}

/// The rate with so many connections over the best rate, round by round.
Samples ratio_to_best(AllFigures &all, const Contender &contender, const std::vector<int> &connections,
                      int many, bool synchronous) {
    const auto rate = [&](int count) -> const Samples & {
        return all[Setting{count, synchronous}.name()][contender.name].rate;
    };
    Samples best = rate(connections.front());
    for (const int count : connections)
        best = best.greater_of(rate(count));
    return rate(many).over(best);
}

void print_scaling(Report &report, AllFigures &all, const std::vector<int> &connections) {
    std::vector<Fields> rows;
    for (const bool synchronous : {false, true})
        for (const int many : {16, 64}) {
            const Samples fairq = ratio_to_best(all, fairq_queue(), connections, many, synchronous);
            const Samples hot = ratio_to_best(all, hot_pair(), connections, many, synchronous);
            const Samples ratio = fairq.over(hot);
            const std::string setting = Setting{many, synchronous}.name();
            rows.push_back({{"setting", setting},
                            {"fairq", figure(fairq, 2)},
                            {"floor-hot", figure(hot, 2)},
                            {"ratio", figure(ratio, 2)},
                            {"target", report.target("more connections, " + setting + ": of floor-hot's own",
                                                     ratio.median(), at_least(0.9))}});
        }
    report.table("more connections", "rate over the best rate of 1 to 64 connections", rows);
}

} // namespace

void compare_claims(Report &report, const Size &size) {
    const std::vector<int> connections = size.quick ? std::vector<int>{1, 4} : std::vector<int>{1, 4, 16, 64};
    const Contenders contenders{&fairq_queue(), &floor_pair(), &hot_pair(), &hot_pair_in_order(),
                                &skip_locked()};
    const Contest contest{
        "claim + complete",
        "bench_claims",
        contenders,
        {contenders.begin() + 1, contenders.end()},
        settings(connections, kBatch),
        size.jobs(20'000),
        0,
        {{&fairq_queue(), &hot_pair(), at_least(0.7)}, {&fairq_queue(), &floor_pair(), at_least(1)}}};
    AllFigures all = measure(contest, size.rounds);
    print(report, contest, all);
    if (!size.quick)
        print_scaling(report, all, connections);
    drop_database(contest.database);
}

void compare_peers(Report &report, const Size &size) {
    Contenders contenders{&fairq_queue(), &floor_pair(),   &hot_pair(),
                          &skip_locked(), &window_claim(), &loose_scan()};
    if (Connection connection("postgres"); !size.quick && has_pgq(connection))
        contenders.push_back(&pgq_queue());
    const Contest contest{"peers",
                          "bench_peers",
                          contenders,
                          {&hot_pair(), &fairq_queue()},
                          settings({4}, kBatch),
                          size.jobs(20'000),
                          size.jobs(60'000),
                          {}};
    AllFigures all = measure(contest, size.rounds);
    print(report, contest, all);
    drop_database(contest.database);
}

void compare_batches(Report &report, const Size &size) {
    const Contest contest{"batches of 500",
                          "bench_batches",
                          {&fairq_queue(), &floor_pair(), &hot_pair()},
                          {&floor_pair(), &hot_pair()},
                          settings({1, 4}, 10 * kBatch),
                          size.jobs(40'000),
                          0,
                          {{&fairq_queue(), &hot_pair(), at_least(0.7)}}};
    AllFigures all = measure(contest, size.rounds);
    print(report, contest, all);
    drop_database(contest.database);
}

void compare_singles(Report &report, const Size &size) {
    Contest contest{"one by one",
                    "bench_singles",
                    {&fairq_queue(), &skip_locked()},
                    {&skip_locked()},
                    settings(size.quick ? std::vector<int>{1, 4} : std::vector<int>{1, 4, 16}, 1),
                    size.jobs(5'000),
                    size.jobs(60'000),
                    {{&fairq_queue(), &skip_locked(), at_least(1)}}};
    make_database(contest.database);
    if (Connection connection(contest.database); has_function(connection, "complete_and_claim_jobs")) {
        contest.contenders.push_back(&fairq_one_call());
        contest.aims.push_back({&fairq_one_call(), &skip_locked(), at_least(1.7)});
    }
    AllFigures all = measure(contest, size.rounds);
    print(report, contest, all);
    drop_database(contest.database);
}

} // namespace fairq::bench
