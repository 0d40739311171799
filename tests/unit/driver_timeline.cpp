// What was measured over time, in bounded memory; and what /proc tells.
#include <fstream>

#include <unistd.h>

#include <gtest/gtest.h>

#include "measure/processes.hpp"
#include "measure/timeline.hpp"

using namespace fairq::driver::measure;

TEST(TimelineTest, a_value_counts_in_the_second_in_which_it_came) {
    Timeline timeline;
    timeline.record(0.2, 1000);
    timeline.record(2.9, 5000);
    timeline.record(-0.1, 7000);
    ASSERT_EQ(timeline.slices().size(), 3U);
    EXPECT_EQ(timeline.slices()[0].count(), 2);
    EXPECT_TRUE(timeline.slices()[1].empty());
    EXPECT_EQ(timeline.slices()[2].max(), 5000);
}

TEST(TimelineTest, slices_widen_when_a_phase_is_long_and_no_value_is_lost) {
    Timeline timeline(10);
    for (int second = 0; second < 1000; ++second)
        timeline.record(second, second);
    EXPECT_LE(timeline.slices().size(), 10U);
    EXPECT_EQ(timeline.step(), 128);
    std::int64_t count = 0;
    for (const Histogram &slice : timeline.slices())
        count += slice.count();
    EXPECT_EQ(count, 1000);
    EXPECT_EQ(timeline.slices().back().max(), 999);
    EXPECT_EQ(timeline.slices()[0].max(), 127);
}

TEST(CoarseHistogramTest, is_right_to_three_percent) {
    Histogram fine, coarse(Histogram::kCoarse);
    for (std::int64_t value = 1; value < 3'000'000; value += 1 + value / 50) {
        fine.record(value);
        coarse.record(value);
    }
    for (const double p : {1.0, 50.0, 90.0, 99.0, 100.0}) {
        const auto right = static_cast<double>(fine.percentile(p));
        EXPECT_NEAR(static_cast<double>(coarse.percentile(p)), right, right * 0.032 + 1) << p;
    }
    EXPECT_THROW(fine.add(coarse), std::logic_error);
}

TEST(SystemSamplesTest, are_bounded_and_keep_the_highest_and_the_last_counters) {
    SystemSamples samples(8);
    for (int second = 0; second < 1000; ++second) {
        SystemSample sample;
        sample.at_seconds = second;
        sample.seconds = 1;
        sample.counters.commits = second;
        sample.connections = second == 500 ? 77 : 3;
        sample.waits["CPU"] = 2;
        if (second == 501)
            sample.waits["Lock/tuple"] = 4;
        samples.add(sample);
    }
    EXPECT_LE(samples.all().size(), 8U);
    EXPECT_EQ(samples.taken(), 1000);
    double most = 0, waited = 0, seconds = 0;
    for (const SystemSample &sample : samples.all()) {
        most = std::max(most, sample.connections);
        EXPECT_NEAR(sample.waits.at("CPU"), 2, 1e-9);
        if (const auto found = sample.waits.find("Lock/tuple"); found != sample.waits.end())
            waited += found->second * sample.seconds;
        seconds += sample.seconds;
    }
    EXPECT_EQ(most, 77);
    EXPECT_NEAR(waited, 4, 1e-9) << "by time: a wait that one of many samples saw is short";
    EXPECT_EQ(seconds, 1000);
    EXPECT_EQ(samples.all().back().counters.commits, 999);
}

TEST(ProcessTest, a_stat_line_is_read_whatever_the_name) {
    const auto entry = parse_stat("42 (a) b (c)) S 7 1 1 0 -1 4 0 0 0 0 150 50 30 20 20 0", 100);
    ASSERT_TRUE(entry);
    EXPECT_EQ(entry->pid, 42);
    EXPECT_EQ(entry->name, "a) b (c)");
    EXPECT_EQ(entry->parent, 7);
    EXPECT_EQ(entry->cpu_seconds, 2);
    EXPECT_EQ(entry->children_cpu_seconds, 0.5);
    EXPECT_FALSE(parse_stat("", 100));
    EXPECT_FALSE(parse_stat("42 (x) S 7", 100));
}

TEST(ProcessTest, this_process_is_found_with_its_memory_and_descriptors) {
    const auto processes = all_processes();
    const ProcessUse before = use_of_one(processes, getpid());
    EXPECT_EQ(before.processes, 1);
    EXPECT_GT(before.memory_bytes, 0);
    const std::ifstream open("/proc/self/stat");
    EXPECT_EQ(use_of_one(processes, getpid()).descriptors, before.descriptors + 1);
    EXPECT_GE(use_of_tree(processes, getppid()).processes, 2);
    EXPECT_EQ(use_of_one(processes, 0).processes, 0);
}

TEST(ProcessTest, a_tree_leaves_out_the_one_that_is_counted_elsewhere) {
    const std::vector<ProcessEntry> processes{
        {10, 1, "a", 1, 5}, {11, 10, "b", 2, 0}, {12, 11, "c", 4, 0}, {13, 10, "d", 8, 0}};
    EXPECT_EQ(use_of_tree(processes, 10).cpu_seconds, 20);
    EXPECT_EQ(use_of_tree(processes, 10, 11).cpu_seconds, 14);
    EXPECT_EQ(use_of_children(processes, 10, 13).cpu_seconds, 6);
}
