// The HTML report in a browser: nothing is wider than the window, with JavaScript and without. Skipped where there is no
// Chromium; tests/support/install-deps --browser installs it.
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "report/files.hpp"
#include "report_fixture.hpp"
#include "test_cluster.hpp"

using namespace fairq::driver;
using namespace fairq::test;

namespace {

namespace fs = std::filesystem;

std::string attribute(const std::string &text) {
    std::string escaped;
    for (const char c : text)
        escaped += c == '&' ? std::string("&amp;") : c == '"' ? std::string("&quot;") : std::string(1, c);
    return escaped;
}

/// What the browser makes of a page in a frame of this width.
nlohmann::json looked_at(const std::string &page, int width, bool scripts) {
    const TemporaryFolder folder;
    const std::string file = folder.path() + "/frame.html", out = folder.path() + "/out";
    std::ofstream(file) << fmt::format(R"(<!DOCTYPE html><body style="margin:0">
<iframe id="f" width="{}" height="900" style="border:0" sandbox="allow-same-origin{}" srcdoc="{}"></iframe>
<script>
onload = function () {{
  var page = document.getElementById("f").contentDocument, root = page.documentElement, wide = [];
  page.querySelectorAll("body *").forEach(function (e) {{
    if (!e.closest(".scroll") && !e.closest("svg") && e.getBoundingClientRect().right > root.clientWidth + 1)
      wide.push(e.tagName + "." + e.className);
  }});
  var chart = page.querySelector("svg[data-time]");
  chart.dispatchEvent(new MouseEvent("mousemove", {{ clientX: chart.getBoundingClientRect().left + 200, bubbles: true }}));
  document.body.textContent = "RESULT" + JSON.stringify({{
    scroll: root.scrollWidth, client: root.clientWidth, wide: wide,
    charts: page.querySelectorAll("svg.chart").length, flat: [].filter.call(page.querySelectorAll("svg.chart"),
      function (e) {{ return e.getBoundingClientRect().height < 60; }}).length,
    cursors: page.querySelectorAll(".cursor").length, hacked: typeof window.hacked }}) + "END";
}};
</script>)",
                                       width, scripts ? " allow-scripts" : "", attribute(page));
    const std::string command = fmt::format(
        "timeout 120 chromium --headless --no-sandbox --disable-gpu --disable-dev-shm-usage "
        "--user-data-dir='{0}/profile' --window-size=1400,1000 --virtual-time-budget=5000 --dump-dom "
        "'file://{1}' >'{2}' 2>'{2}.log'",
        folder.path(), file, out);
    const int status = std::system(command.c_str());
    std::ifstream stream(out);
    const std::string text((std::istreambuf_iterator<char>(stream)), {});
    const std::size_t from = text.find("RESULT{"), to = text.find("}END");
    if (status != 0 || from == std::string::npos || to == std::string::npos)
        throw std::runtime_error("the browser said: " + text.substr(0, 2000));
    return nlohmann::json::parse(text.substr(from + 6, to + 1 - from - 6));
}

class Browser : public testing::TestWithParam<std::pair<int, bool>> {
protected:
    void SetUp() override {
        if (std::system("command -v chromium >/dev/null") != 0)
            GTEST_SKIP() << "there is no chromium: tests/support/install-deps --browser installs it";
    }
};

} // namespace

TEST_P(Browser, shows_the_report_whole_and_nothing_wider_than_the_window) {
    const auto [width, scripts] = GetParam();
    report::Summary summary = hostile_summary();
    summary.plan = "<img src=x onerror=\"parent.hacked=1\">" + std::string(300, 'w');
    const nlohmann::json seen = looked_at(report::html_report(summary), width, scripts);
    EXPECT_EQ(seen["scroll"], seen["client"]) << seen;
    EXPECT_EQ(seen["wide"], nlohmann::json::array());
    EXPECT_GE(seen["charts"], 10);
    EXPECT_EQ(seen["flat"], 0) << "every chart has a height";
    EXPECT_EQ(seen["hacked"], "undefined");
    EXPECT_EQ(seen["cursors"] > 0, scripts) << "the cursor is all that scripts add";
}

INSTANTIATE_TEST_SUITE_P(Widths, Browser,
                         testing::Values(std::pair(1280, true), std::pair(1280, false), std::pair(390, true),
                                         std::pair(390, false)));

TEST(BrowserCheck, sees_what_is_too_wide) {
    if (std::system("command -v chromium >/dev/null") != 0)
        GTEST_SKIP() << "there is no chromium";
    std::string page = report::html_report(hostile_summary());
    page.insert(page.find("<h2"), "<p style=\"width:2000px\">x</p>");
    const nlohmann::json seen = looked_at(page, 390, false);
    EXPECT_GT(seen["scroll"], seen["client"]);
    EXPECT_EQ(seen["wide"][0], "P.");
}
