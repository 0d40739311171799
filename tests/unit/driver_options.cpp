// The command line, and which connection it names together with libpq's environment.
#include <cstdlib>

#include <gtest/gtest.h>

#include "cli/options.hpp"
#include "errors.hpp"

using namespace fairq::driver;

namespace {

cli::Options parse(std::vector<const char *> arguments) {
    arguments.insert(arguments.begin(), "fairq");
    return cli::parse_options(static_cast<int>(arguments.size()), arguments.data());
}

/// libpq's environment, taken away for a test and put back.
class Environment : public testing::Test {
protected:
    void SetUp() override {
        for (const char *name : kNames) {
            const char *value = std::getenv(name);
            saved_.emplace_back(name, value != nullptr ? value : "");
            unsetenv(name);
        }
    }
    void TearDown() override {
        for (const auto &[name, value] : saved_)
            value.empty() ? unsetenv(name.c_str()) : setenv(name.c_str(), value.c_str(), 1);
    }

private:
    static constexpr const char *kNames[] = {"PGHOST", "PGHOSTADDR", "PGPORT", "PGSERVICE", "PGDATABASE"};
    std::vector<std::pair<std::string, std::string>> saved_;
};

using OptionsConnection = Environment;

} // namespace

TEST(OptionsTest, a_run_takes_a_plan_and_everything_else_has_a_default) {
    const cli::Options options = parse({"run", "scaling"});
    EXPECT_EQ(options.verb, cli::Verb::run);
    EXPECT_EQ(options.plan, "scaling");
    EXPECT_TRUE(options.choice.profile.empty());
    EXPECT_FALSE(options.seed);
    EXPECT_FALSE(options.timeout);
    EXPECT_EQ(options.progress, Milliseconds(5'000));
    EXPECT_FALSE(options.keep || options.yes || options.quiet || options.no_color);
}

TEST(OptionsTest, all_options_of_a_run_are_read) {
    const cli::Options options =
        parse({"run",      "scaling",   "--profile", "smoke",      "--json", "out.json",  "--seed",
               "42",       "--timeout", "10m",       "--progress", "1s",     "--option",  "jobs=5",
               "--option", "every=1s",  "--keep",    "--force",    "-q",     "--no-color"});
    EXPECT_EQ(options.choice.profile, "smoke");
    EXPECT_EQ(options.files.json, "out.json");
    EXPECT_EQ(options.seed, 42U);
    EXPECT_EQ(options.timeout, Milliseconds(600'000));
    EXPECT_EQ(options.progress, Milliseconds(1'000));
    ASSERT_EQ(options.choice.options.size(), 2U);
    EXPECT_EQ(options.choice.options[1], (plan::Param{"every", "1s"}));
    EXPECT_TRUE(options.keep && options.yes && options.quiet && options.no_color);
}

TEST(OptionsTest, summary_export_is_another_name_for_json) {
    EXPECT_EQ(parse({"run", "x", "--summary-export", "a.json"}).files.json, "a.json");
}

TEST(OptionsTest, a_threshold_is_split_after_its_selector) {
    const cli::Options options =
        parse({"run", "x", "--threshold", "poll_ms{phase:steady}:p(95)<50", "--threshold", "poll_ms:max<9"});
    ASSERT_EQ(options.thresholds.size(), 2U);
    EXPECT_EQ(options.thresholds[0],
              (std::pair<std::string, std::string>("poll_ms{phase:steady}", "p(95)<50")));
    EXPECT_EQ(options.thresholds[1], (std::pair<std::string, std::string>("poll_ms", "max<9")));
}

TEST(OptionsTest, list_and_check_and_help_are_verbs) {
    EXPECT_EQ(parse({"list"}).verb, cli::Verb::list);
    EXPECT_EQ(parse({"check", "scaling", "--profile", "smoke"}).verb, cli::Verb::check);
    const cli::Options help = parse({"--help"});
    EXPECT_EQ(help.verb, cli::Verb::help);
    EXPECT_NE(help.help.find("Exit codes: 0 PASS"), std::string::npos);
    EXPECT_NE(parse({"run", "--help"}).help.find("--profile"), std::string::npos);
}

TEST(OptionsTest, mistakes_on_the_command_line_are_usage_errors) {
    const std::vector<const char *> mistakes[] = {{},
                                                  {"fly"},
                                                  {"run"},
                                                  {"run", "x", "--no-such"},
                                                  {"run", "x", "y"},
                                                  {"run", "x", "--seed", "many"},
                                                  {"run", "x", "--seed", "-1"},
                                                  {"run", "x", "--timeout", "5"},
                                                  {"run", "x", "--timeout", "0s"},
                                                  {"run", "x", "--progress", "often"},
                                                  {"run", "x", "--option", "jobs"},
                                                  {"run", "x", "--option", "=5"},
                                                  {"run", "x", "--threshold", "poll_ms"},
                                                  {"run", "x", "--dsn", "dbname=a", "-d", "b"},
                                                  {"list", "x"}};
    for (const auto &arguments : mistakes)
        EXPECT_THROW(parse(arguments), UsageError) << (arguments.empty() ? "" : arguments.back());
}

TEST_F(OptionsConnection, no_connection_means_a_throw_away_cluster) {
    EXPECT_FALSE(cli::chosen_conninfo(parse({"run", "x"})));
}

TEST_F(OptionsConnection, a_user_name_alone_names_no_database) {
    setenv("PGUSER", "somebody", 1);
    EXPECT_FALSE(cli::chosen_conninfo(parse({"run", "x"})));
    unsetenv("PGUSER");
}

TEST_F(OptionsConnection, a_dsn_goes_before_the_environment) {
    setenv("PGHOST", "elsewhere", 1);
    EXPECT_EQ(cli::chosen_conninfo(parse({"run", "x", "--dsn", "postgresql://h/d"})), "postgresql://h/d");
}

TEST_F(OptionsConnection, psql_options_become_a_connection_string) {
    EXPECT_EQ(
        cli::chosen_conninfo(parse({"run", "x", "-h", "/tmp", "-p", "5433", "-U", "o'neil", "-d", "d b"})),
        "host='/tmp' port='5433' user='o\\'neil' dbname='d b'");
}

TEST_F(OptionsConnection, each_variable_of_libpq_that_names_a_server_counts) {
    for (const char *name : {"PGHOST", "PGHOSTADDR", "PGPORT", "PGSERVICE", "PGDATABASE"}) {
        setenv(name, "x", 1);
        EXPECT_EQ(cli::chosen_conninfo(parse({"run", "x"})), "") << name;
        unsetenv(name);
    }
}

TEST(OptionsTest, the_command_to_repeat_a_run_carries_what_decides_it) {
    plan::Plan plan;
    plan.profile = "smoke";
    const cli::Options options =
        parse({"run", "scaling", "--option", "jobs=5", "--threshold", "poll_ms:p(95)<50", "--keep"});
    EXPECT_EQ(cli::again_command(options, plan, 42),
              "fairq run scaling --profile smoke --option jobs=5 --threshold 'poll_ms:p(95)<50' --seed 42 "
              "--keep");
}

TEST(OptionsTest, the_command_that_repeats_a_run_has_its_connection_and_no_password) {
    const auto again = [](const std::string &dsn) {
        const cli::Options options = parse({"run", "x", "--dsn", dsn.c_str()});
        return cli::again_command(options, plan::Plan{}, 1);
    };
    EXPECT_EQ(again("host=h dbname=d"), "fairq run x --seed 1 --dsn 'host=h dbname=d'");
    EXPECT_EQ(again("host=h password=geheim dbname=d"), "fairq run x --seed 1 --dsn 'host=h dbname=d'");
    for (const char *dsn :
         {"password='geh eim' host=h", "host=h PASSWORD = geh\\ eim", "postgres://u:geh%20eim@h/d",
          "postgresql://h/d?password=geh%20eim&user=u", "postgresql://h/d?user=u&password=geh%20eim"})
        EXPECT_EQ(again(dsn).find("geh"), std::string::npos) << again(dsn);
    EXPECT_NE(again("postgres://u:geh%20eim@h/d").find("postgres://u@h/d"), std::string::npos);
    const cli::Options parts = parse({"run", "x", "-h", "h", "-d", "d", "--yes", "--timeout", "5m"});
    EXPECT_EQ(cli::again_command(parts, plan::Plan{}, 1),
              "fairq run x --seed 1 -h h -d d --timeout 5m --yes");
}

TEST(OptionsTest, report_and_compare_take_results_and_a_percentage) {
    const cli::Options report = parse({"report", "dir", "--html", "x.html"});
    EXPECT_EQ(report.verb, cli::Verb::report);
    EXPECT_EQ(report.result, "dir");
    EXPECT_EQ(report.files.html, "x.html");
    const cli::Options compare = parse({"compare", "a", "b", "--max-regression", "25%"});
    EXPECT_EQ(compare.verb, cli::Verb::compare);
    EXPECT_EQ(compare.base, "a");
    EXPECT_EQ(compare.result, "b");
    EXPECT_EQ(compare.max_regression, 0.25);
    EXPECT_THROW(parse({"compare", "a", "b", "--max-regression", "much"}), UsageError);
    EXPECT_THROW(parse({"compare", "a", "b", "--max-regression", "-5"}), UsageError);
    EXPECT_THROW(parse({"compare", "a"}), UsageError);
}
