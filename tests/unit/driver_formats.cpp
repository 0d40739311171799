// The files of a run: what is in text of people and servers is never markup, a command or a formula, and each file is
// what other programs take it for.
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <unistd.h>

#include <gtest/gtest.h>

#include "report/files.hpp"
#include "report/svg.hpp"
#include "report_fixture.hpp"

using namespace fairq::driver;
using namespace fairq::test;

namespace {

namespace fs = std::filesystem;

/// A folder with the files of a run, checked by tests/support/check-reports.
class Folder {
public:
    explicit Folder(const report::Summary &summary) {
        std::string name = (fs::temp_directory_path() / "fairq-formats-XXXXXX").string();
        path_ = mkdtemp(name.data());
        write("result.json", report::json_report(summary));
        write("junit.xml", report::junit_report(summary));
        write("series.csv", report::csv_report(summary));
        write("gates.tap", report::tap_report(summary));
        write("report.html", report::html_report(summary));
        write("report.md", report::markdown_report(summary));
    }
    ~Folder() { fs::remove_all(path_); }
    Folder(const Folder &) = delete;
    Folder &operator=(const Folder &) = delete;

    void write(const std::string &name, const std::string &text) const {
        std::ofstream(path_ / name, std::ios::binary) << text;
    }

    /// What is wrong with them, a line each; empty: nothing.
    std::string findings() const {
        const fs::path support = fs::path(FAIRQ_SHIPPED_PLANS) / "../../tests/support";
        const fs::path schema = fs::path(FAIRQ_SHIPPED_PLANS) / "../../docs/result.schema.json";
        const std::string command = "'" + (support / "check-reports").string() + "' '" + path_.string() +
                                    "' '" + schema.string() + "' >'" + (path_ / "findings").string() +
                                    "' 2>&1";
        const int status = std::system(command.c_str());
        std::ifstream file(path_ / "findings");
        std::string text((std::istreambuf_iterator<char>(file)), {});
        if (text == "\n" && status == 0)
            return "";
        return text.empty() ? "it did not run" : text;
    }

private:
    fs::path path_;
};

std::size_t count_of(const std::string &text, const std::string &part) {
    std::size_t count = 0;
    for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size()))
        ++count;
    return count;
}

} // namespace

TEST(FormatsTest, every_file_is_what_it_says_it_is_whatever_people_and_servers_wrote) {
    EXPECT_EQ(Folder(hostile_summary()).findings(), "");
}

TEST(FormatsTest, a_run_that_never_started_has_files_too) {
    const report::Summary summary = report::never_started(judge::Outcome::setup, kHostile, "demo");
    const Folder folder(summary);
    folder.write("result.json", report::json_failure(judge::Outcome::setup, kHostile));
    EXPECT_EQ(folder.findings(), "");
    EXPECT_EQ(count_of(report::junit_report(summary), "<error "), 1U);
}

TEST(FormatsTest, the_check_of_the_files_sees_what_is_wrong) {
    const Folder folder(hostile_summary());
    std::string json = report::json_report(hostile_summary());
    json.replace(json.find("\"lost_count\""), 12, "\"lost_jobs!\"");
    folder.write("result.json", json);
    std::string xml = report::junit_report(hostile_summary());
    xml.insert(xml.find("<failure "), "<");
    folder.write("junit.xml", xml);
    std::string page = report::html_report(hostile_summary());
    page.insert(page.find("<h2"), "<img src=\"http://example.org/x.png\">");
    folder.write("report.html", page);
    folder.write("series.csv", "phase,seconds,what,of,value\r\na,b\r\n");
    folder.write("gates.tap", "TAP version 13\n1..2\nok 1 - a\n");
    const std::string findings = folder.findings();
    for (const char *file : {"result.json", "junit.xml", "report.html", "series.csv", "gates.tap"})
        EXPECT_NE(findings.find(file), std::string::npos) << file << "\n" << findings;
}

TEST(HtmlTest, hostile_text_is_shown_and_not_run) {
    const std::string page = report::html_report(hostile_summary());
    EXPECT_EQ(count_of(page, "<script"), 1U) << "the report's own";
    EXPECT_EQ(count_of(page, "<b>demo"), 0U);
    EXPECT_NE(page.find("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;"), std::string::npos);
    EXPECT_EQ(page.find('\x1b'), std::string::npos);
    EXPECT_EQ(page.find("\u202e"), std::string::npos);
}

TEST(HtmlTest, has_all_parts) {
    const std::string page = report::html_report(hostile_summary());
    for (const char *part : {"id=\"gates\"", "Jobs completed a second", "Backlog", "claim_ms of hands",
                             "id=\"spectrum\"", "waited for …", "CPU: cores used", "Memory", "WAL",
                             "id=\"errors\"", "57P01", "id=\"tenants\"", "id=\"faults\"", "class=\"fault\"",
                             "prefers-color-scheme: dark", "@media print", "Lock/transactionid"})
        EXPECT_NE(page.find(part), std::string::npos) << part;
}

TEST(HtmlTest, a_lost_job_is_red) {
    report::Summary summary = hostile_summary();
    EXPECT_EQ(report::html_report(summary).find("class=\"bad\"><b>"), std::string::npos);
    summary.ledger.lost = 3;
    EXPECT_NE(report::html_report(summary).find("class=\"bad\"><b>3</b>lost"), std::string::npos);
}

TEST(SvgTest, a_higher_value_is_drawn_higher_and_a_later_one_further_right) {
    report::svg::Chart chart;
    chart.to = 10;
    chart.lines = {{"x", {{0, 0}, {5, 50}, {10, 100}}, 0, false, false}};
    const std::string text = report::svg::chart(chart);
    EXPECT_NE(text.find("M76.0,212.0L392.0,114.0L708.0,16.0"), std::string::npos) << text;
}

TEST(SvgTest, charts_of_nothing_and_of_one_point_are_drawings) {
    report::svg::Chart chart;
    EXPECT_NE(report::svg::chart(chart).find("</svg>"), std::string::npos);
    chart.lines = {{"x", {{0, 0}}, 0, false, true}};
    chart.log_y = true;
    EXPECT_NE(report::svg::chart(chart).find("<circle"), std::string::npos);
    EXPECT_EQ(report::svg::chart(chart).find("nan"), std::string::npos);
    EXPECT_EQ(report::svg::limit_bar(0, 0, true).find("nan"), std::string::npos);
    EXPECT_EQ(report::svg::share_bar(0, 0, 0).find("nan"), std::string::npos);
}

TEST(CsvTest, a_spreadsheet_takes_no_text_for_a_formula) {
    report::Summary summary = hostile_summary();
    summary.phases[1].faults[0].name = "=HYPERLINK(\"http://x\",\"y\")";
    EXPECT_NE(report::csv_report(summary).find("\"'=HYPERLINK(\"\"http://x\"\",\"\"y\"\")\""),
              std::string::npos);
}

TEST(GithubTest, the_summary_has_what_failed_first_and_no_markup_of_others) {
    const std::string text = report::github_summary(hostile_summary());
    EXPECT_EQ(text.find("<script"), std::string::npos);
    EXPECT_LT(text.find("**fail**"), text.find("<details>"));
    EXPECT_LT(text.size(), 1'000'000U);
}

TEST(GithubTest, a_summary_stays_below_the_megabyte) {
    report::Summary summary = hostile_summary();
    for (int i = 0; i < 20'000; ++i)
        summary.gates.push_back(summary.gates.front());
    EXPECT_LT(report::github_summary(summary).size(), 1'048'576U);
}

TEST(GithubTest, an_annotation_is_one_line_and_holds_no_other_command) {
    const std::string text = report::github_annotations(hostile_summary());
    EXPECT_EQ(count_of(text, "\n"), 2U);
    EXPECT_EQ(count_of(text, "\n::"), 1U);
    EXPECT_EQ(text.substr(0, 14), "::error title=");
}

TEST(MarkdownTest, a_fence_is_longer_than_any_in_the_command) {
    report::Summary summary = hostile_summary();
    summary.again = "fairq run '```x````'";
    EXPECT_NE(report::markdown_report(summary).find("`````sh\n"), std::string::npos);
}
