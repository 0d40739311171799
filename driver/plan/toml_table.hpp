// toml_table.hpp: one table of a plan file, read key by key. It substitutes ${params}, converts, remembers
// which keys were asked for, and refuses the others: every error names file, line and key.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include <toml++/toml.h>

#include "units.hpp"

namespace fairq::driver::plan {

using Value = std::variant<std::string, long long, double, bool>;

std::string to_text(const Value &value);

/// Is ${name} replaced when the statement runs, not when the plan is read?
bool known_at_run(const std::string &name);

/// What all tables of a file share: its name for messages, and the values of ${params}.
struct PlanContext {
    std::string path;
    std::map<std::string, Value> params;

    [[noreturn]] void fail(const toml::node &node, const std::string &key, const std::string &what) const;
};

struct Range {
    long long min;
    long long max;
};

class TomlTable {
public:
    /// `where` is the table's place in the file, as in phases[0].workers[1]; empty for the root.
    TomlTable(const PlanContext &context, const toml::table &table, std::string where);

    std::string text(const std::string &key);
    std::string text(const std::string &key, const std::string &fallback);
    long long integer(const std::string &key, Range range);
    long long integer(const std::string &key, Range range, long long fallback);
    bool boolean(const std::string &key, bool fallback);
    Milliseconds duration(const std::string &key);
    std::optional<Milliseconds> optional_duration(const std::string &key);
    double rate(const std::string &key);
    double number(const std::string &key, double least, double most, double fallback);
    std::vector<std::string> texts(const std::string &key);

    /// The value as it stands, ${params} replaced; nothing when the key is absent.
    std::optional<Value> value(const std::string &key);

    /// Calls `read` for each table of an array of tables, or for the one table of that name.
    void each_table(const std::string &key, const std::function<void(TomlTable &)> &read);

    std::vector<std::string> keys() const;
    bool has(const std::string &key) const { return table_.contains(key); }

    [[noreturn]] void fail(const std::string &key, const std::string &what) const;

    /// Refuses every key that nobody asked for.
    void finish() const;

private:
    std::string name_of(const std::string &key) const;
    Value require(const std::string &key);
    Value resolve(const toml::node &node, const std::string &key) const;
    Value substitute(const std::string &text, const std::string &key) const;
    Milliseconds as_duration(const Value &value, const std::string &key) const;

    const PlanContext &context_;
    const toml::table &table_;
    std::string where_;
    std::set<std::string> asked_;
};

} // namespace fairq::driver::plan
