// Text on a terminal: nothing that people or servers wrote is obeyed, and no line is wider than the terminal.
#include <sstream>

#include <gtest/gtest.h>

#include "report_fixture.hpp"
#include "text.hpp"

using namespace fairq::driver;
using namespace fairq::test;

namespace {

std::vector<std::string> lines_of(const std::string &text) {
    std::vector<std::string> lines;
    std::istringstream stream(text);
    for (std::string line; std::getline(stream, line);)
        lines.push_back(line);
    return lines;
}

report::TextStyle style(std::size_t width, bool quiet = false) {
    report::TextStyle chosen;
    chosen.symbols = true;
    chosen.quiet = quiet;
    chosen.width = width;
    return chosen;
}

} // namespace

TEST(PrintableTest, what_a_terminal_obeys_is_escaped_and_what_it_shows_stays) {
    EXPECT_EQ(printable("a\x1b[31m\n\tb\x7f"), "a\\x1b[31m\\n\\tb\\x7f");
    EXPECT_EQ(printable("größer 漢字 🙂"), "größer 漢字 🙂");
    EXPECT_EQ(printable("\u009b31m"), "\\x9b31m") << "C1: begins a command as well";
    EXPECT_EQ(printable("a\u202eb\u2066"), "a\\u202eb\\u2066");
    EXPECT_EQ(printable(std::string("a\0b", 3)), "a\\x00b");
}

TEST(PrintableTest, what_is_no_utf8_is_escaped_byte_by_byte) {
    EXPECT_EQ(printable("\xff"), "\\xff");
    EXPECT_EQ(printable("\xc3"), "\\xc3") << "cut off";
    EXPECT_EQ(printable("\xc0\xaf"), "\\xc0\\xaf") << "overlong";
    EXPECT_EQ(printable("\xed\xa0\x80"), "\\xed\\xa0\\x80") << "a surrogate";
    EXPECT_EQ(printable("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80") << "beyond Unicode";
    EXPECT_EQ(printable("\xe2\x82"), "\\xe2\\x82");
}

TEST(ColumnsTest, wide_letters_take_two_and_combining_marks_none) {
    EXPECT_EQ(columns_of("abc"), 3U);
    EXPECT_EQ(columns_of("漢字"), 4U);
    EXPECT_EQ(columns_of("e\u0301"), 1U);
    EXPECT_EQ(columns_of("✓ ö"), 3U);
}

TEST(ClippedTest, cuts_between_letters) {
    EXPECT_EQ(clipped("abcdef", 6), "abcdef");
    EXPECT_EQ(clipped("abcdefg", 6), "abcde…");
    EXPECT_EQ(clipped("abcdefg", 6, true), "abc...");
    EXPECT_EQ(clipped("漢字漢字", 4), "漢…");
}

TEST(WrappedTest, breaks_at_blanks_or_inside_a_word_that_is_longer_than_a_line) {
    EXPECT_EQ(wrapped("one two three", 9), (std::vector<std::string>{"one two", "three"}));
    EXPECT_EQ(wrapped("one two three", 10, 2), (std::vector<std::string>{"one two", "  three"}));
    EXPECT_EQ(wrapped("abcdefghijklmnop", 10), (std::vector<std::string>{"abcdefghij", "klmnop"}));
    EXPECT_EQ(wrapped("", 10), (std::vector<std::string>{""}));
    EXPECT_EQ(wrapped("漢字漢字漢字漢字", 9).size(), 2U);
}

TEST(TerminalTest, no_line_is_wider_than_the_terminal_and_none_holds_a_command_for_it) {
    const report::Summary summary = hostile_summary();
    for (const std::size_t width : {40U, 41U, 59U, 60U, 72U, 80U, 95U, 96U, 100U})
        for (const std::string &line :
             lines_of(report::text_report(summary, style(width), {"/tmp/a/result.json"}))) {
            EXPECT_LE(columns_of(line), width) << line;
            EXPECT_EQ(printable(line), line);
        }
}

TEST(TerminalTest, the_figures_are_there_at_every_width) {
    const report::Summary summary = hostile_summary();
    for (const std::size_t width : {40U, 100U}) {
        const std::string text = report::text_report(summary, style(width), {"/tmp/a/result.json"});
        for (const char *part : {"FAIL", "SLOW", "acknowledged 8", "lost 0", "LATENCY ms", "THROUGHPUT",
                                 "WAL 1,000 B", "commits 5", "round trips 2", "1/2 fired", "57P01",
                                 "Lock/transactionid 38 %", "/tmp/a/result.json", "worst at second 10"})
            EXPECT_NE(text.find(part), std::string::npos) << part << " at " << width << "\n" << text;
    }
}

TEST(TerminalTest, quiet_names_what_does_not_hold_and_why) {
    const auto lines = lines_of(report::text_report(hostile_summary(), style(100, true)));
    EXPECT_EQ(lines.front().substr(0, 4), "FAIL");
    EXPECT_EQ(lines.back(), "11 passed, 2 failed");
    std::string text;
    for (const std::string &line : lines)
        text += line + "\n";
    EXPECT_NE(text.find("SLOW"), std::string::npos);
    EXPECT_NE(text.find("the fault hands struck then"), std::string::npos);
    EXPECT_EQ(text.find("LEDGER"), std::string::npos);
}

TEST(TerminalTest, the_command_that_repeats_the_run_can_be_copied_at_every_width) {
    report::Summary summary = hostile_summary();
    summary.again = "fairq run a-plan-with-a-long-name --profile standard --option 'text=two words and more' "
                    "--seed 42 --dsn dbname=test";
    for (const std::size_t width : {40U, 100U}) {
        const std::string text = report::text_report(summary, style(width));
        std::string command = text.substr(text.find("AGAIN") + 5);
        command = command.substr(command.find("fairq run"));
        command.erase(command.rfind('\n', command.size() - 2)); // the last line
        for (std::size_t at = command.find("\\\n"); at != std::string::npos; at = command.find("\\\n"))
            command.erase(at, 2);
        std::string words;
        for (const char c : command)
            if (c != ' ' || words.back() != ' ')
                words += c;
        EXPECT_EQ(words, summary.again) << text;
    }
}
