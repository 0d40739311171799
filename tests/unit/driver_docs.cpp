// docs/load-testing.md says what the driver knows: its table of metrics is the catalogue, and its plan can be
// read.
#include <fstream>

#include <gtest/gtest.h>

#include <fmt/format.h>

#include "measure/metrics.hpp"
#include "plan/plan.hpp"

using namespace fairq::driver;

namespace {

std::string manual() {
    std::ifstream file(FAIRQ_SHIPPED_PLANS "/../../docs/load-testing.md");
    return std::string((std::istreambuf_iterator<char>(file)), {});
}

} // namespace

TEST(ManualTest, its_table_of_metrics_is_the_catalogue) {
    static const char *const kTypes[] = {"counter", "gauge", "trend"};
    static const char *const kClasses[] = {"invariant", "threshold", "validity"};
    std::string table = "| metric | type | class | |\n|---|---|---|---|\n";
    for (const measure::MetricInfo &metric : measure::known_metrics())
        table += fmt::format("| `{}` | {} | {} | {} |\n", metric.name, kTypes[static_cast<int>(metric.type)],
                             kClasses[static_cast<int>(metric.gate_class)], metric.meaning);
    EXPECT_NE(manual().find(table + "\n"), std::string::npos) << "it should be\n" << table;
}

TEST(ManualTest, its_plan_in_ten_lines_can_be_read) {
    const std::string text = manual();
    const std::size_t from = text.find("```toml\n") + 8;
    ASSERT_NE(from, std::string::npos + 8);
    const plan::Plan plan =
        plan::parse_plan(text.substr(from, text.find("```", from) - from), "my-plan.toml", {});
    EXPECT_EQ(plan.phases.at(0).calls.at(0).name, "mine");
    EXPECT_EQ(plan.gates.at(0).expected.limit, 50);
}
