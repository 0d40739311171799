// html.cpp: fills the page (report.mustache) from a summary. The template engine escapes whatever stands in two braces;
// only the charts stand in three, and they escape by themselves.
#include <algorithm>
#include <stdexcept>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <kainjow/mustache.hpp>
#include <nlohmann/json.hpp>

#include "report/files.hpp"
#include "report/html_parts.hpp"
#include "units.hpp"

namespace fairq::driver::report {

extern const char *const kPage; ///< made from report.mustache

namespace {

using kainjow::mustache::data;

data list_of(const std::vector<std::string> &texts) {
    data list{data::type::list};
    for (const std::string &text : texts)
        list << data(text);
    return list;
}

data flag(bool value) {
    return data(value ? data::type::bool_true : data::type::bool_false);
}

std::string lower(std::string text) {
    for (char &c : text)
        c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    return text;
}

std::string environment(const Summary &summary) {
    std::vector<std::string> parts{fmt::format("PostgreSQL {}", summary.server),
                                   fmt::format("fairq {}", summary.extension)};
    if (!summary.cron.empty())
        parts.push_back("pg_cron " + summary.cron);
    parts.push_back(fmt::format("{} CPUs", summary.cpus));
    for (const auto &[name, value] : summary.settings)
        parts.push_back(name + " " + value);
    parts.push_back(summary.throwaway ? std::string("throw-away cluster") : summary.place);
    parts.push_back(fmt::format("seed {}", summary.seed));
    parts.push_back("run " + summary.run_id);
    return fmt::format("{}", fmt::join(parts, " · "));
}

data columns_of(const Summary &summary) {
    data list{data::type::list};
    const auto add = [&](const std::string &name, long long count, const char *mood) {
        data column;
        column.set("name", name);
        column.set("count", format_count(count));
        column.set("mood", mood);
        list << column;
    };
    for (const auto &[name, count] : zero_columns(summary.ledger))
        add(name, count, count == 0 ? "zero" : "bad");
    for (const auto &[name, count] : count_columns(summary.ledger))
        add(name, count, "");
    return list;
}

data gate_row(const GateLine &gate, std::size_t number) {
    static const std::map<judge::Verdict, const char *> kMarks{{judge::Verdict::passed, "\u2713"},
                                                               {judge::Verdict::failed, "\u2717"},
                                                               {judge::Verdict::inconclusive, "?"},
                                                               {judge::Verdict::skipped, "\u2013"}};
    data row;
    row.set("number", std::to_string(number));
    row.set("verdict", verdict_name(gate.verdict));
    row.set("mark", kMarks.at(gate.verdict));
    row.set("id", gate.id);
    row.set("title", gate.title.empty() ? gate.metric : gate.title);
    row.set("expression", gate.expression);
    row.set("value", gate.value ? format_number(*gate.value) : "no value");
    row.set("bar", gate.value && gate.limit
                       ? svg::limit_bar(*gate.value, *gate.limit, gate.verdict == judge::Verdict::passed)
                       : "");
    row.set("samples", format_count(gate.samples));
    std::vector<std::string> details;
    for (const std::string &detail : {gate.title.empty() ? "" : gate.metric, gate.note, gate.hint})
        if (!detail.empty())
            details.push_back(detail);
    row.set("details", list_of(details));
    return row;
}

data gates_of(const Summary &summary) {
    data list{data::type::list};
    std::size_t number = 0;
    for (const GateLine *gate : worst_first(summary))
        list << gate_row(*gate, ++number);
    return list;
}

data figure_of(const Figure &figure) {
    data keys{data::type::list};
    for (const svg::Line &line : figure.keys) {
        data key;
        key.set("name", line.name);
        key.set("color", std::to_string(line.color));
        key.set("dashed", flag(line.dashed));
        keys << key;
    }
    data chart;
    chart.set("title", figure.title);
    chart.set("svg", figure.svg);
    chart.set("keys", keys);
    return chart;
}

data sections_of(const Summary &summary) {
    data list{data::type::list};
    for (const Section &section : html_sections(summary)) {
        data entry;
        entry.set("anchor", section.anchor);
        entry.set("title", section.title);
        if (!section.text.empty())
            entry.set("text", section.text);
        data charts{data::type::list};
        for (const Figure &figure : section.figures)
            charts << figure_of(figure);
        entry.set("charts", charts);
        list << entry;
    }
    return list;
}

data row_of(const std::vector<Cell> &cells) {
    data list{data::type::list};
    for (const Cell &cell : cells) {
        data entry;
        entry.set("text", cell.text);
        entry.set("svg", cell.svg);
        entry.set("class", cell.number ? "n" : cell.svg.empty() ? "text" : "wide");
        list << entry;
    }
    data row;
    row.set("cells", list);
    return row;
}

data tables_of(const Summary &summary) {
    data list{data::type::list};
    for (const Table &table : html_tables(summary)) {
        data entry;
        entry.set("anchor", table.anchor);
        entry.set("title", table.title);
        if (!table.text.empty())
            entry.set("text", table.text);
        data heads{data::type::list}, rows{data::type::list};
        for (const Cell &head : table.heads) {
            data name;
            name.set("name", head.text);
            name.set("number", flag(head.number));
            heads << name;
        }
        for (const auto &row : table.rows)
            rows << row_of(row);
        entry.set("heads", heads);
        entry.set("rows", rows);
        list << entry;
    }
    return list;
}

std::vector<std::string> notes_of(const Summary &summary) {
    std::vector<std::string> notes = summary.notes;
    for (const PhaseSummary &phase : summary.phases) {
        const auto add = [&](const std::string &what, const std::vector<std::string> &sentences) {
            for (const std::string &sentence : sentences)
                notes.push_back(fmt::format("{}: {}{}", phase.name, what, sentence));
        };
        add("", phase.notes);
        if (!phase.stuck)
            continue;
        add("why: ", phase.stuck->why);
        add("jobs: ", phase.stuck->counts);
        add("held: ", phase.stuck->oldest_locked);
        add("errors: ", phase.stuck->worker_errors);
        add("last ticks: ", phase.stuck->last_ticks);
    }
    return notes;
}

std::string pretty(const std::string &config) {
    return nlohmann::ordered_json::parse(config.empty() ? "{}" : config)
        .dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

/// As the template engine wants it: line ends of the plan stay, all else that is no text is escaped.
std::string escaped_lines(const std::string &text) {
    std::string out;
    for (std::size_t from = 0; from <= text.size();) {
        const std::size_t to = std::min(text.find('\n', from), text.size());
        out += svg::escaped(text.substr(from, to - from));
        if (to < text.size())
            out += '\n';
        from = to + 1;
    }
    return out;
}

} // namespace

std::string html_report(const Summary &summary) {
    kainjow::mustache::mustache page{std::string(kPage)};
    page.set_custom_escape(escaped_lines);
    data root;
    root.set("verdict", judge::outcome_word(summary.outcome));
    root.set("verdict_class", lower(judge::outcome_word(summary.outcome)));
    root.set("plan", summary.plan);
    root.set("extension", summary.extension);
    root.set("tally", judge::last_line(summary.tally));
    root.set("duration", format_duration(Milliseconds(static_cast<long long>(summary.wall_seconds * 1000))));
    if (!summary.profile.empty())
        root.set("profile", summary.profile);
    root.set("generated_at", summary.generated_at);
    root.set("complete", flag(summary.complete));
    root.set("description", summary.description);
    root.set("environment", environment(summary));
    root.set("columns", columns_of(summary));
    root.set("has_bad", flag(!summary.ledger.first_bad.empty()));
    root.set("first_bad", list_of(summary.ledger.first_bad));
    root.set("gates", gates_of(summary));
    root.set("sections", sections_of(summary));
    root.set("tables", tables_of(summary));
    const std::vector<std::string> notes = notes_of(summary);
    root.set("has_notes", flag(!notes.empty()));
    root.set("notes", list_of(notes));
    root.set("again", summary.again);
    root.set("config", pretty(summary.config));
    root.set("left", fmt::format("{}", svg::kLeft));
    root.set("right", fmt::format("{}", svg::kRight));
    const std::string text = page.render(root);
    if (!page.is_valid())
        throw std::logic_error("report.mustache: " + page.error_message());
    return text;
}

} // namespace fairq::driver::report
