// toml_table.cpp: typed access to a TOML table with messages for people. It knows
// nothing about what a plan contains.
#include "plan/toml_table.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "errors.hpp"

namespace fairq::driver::plan {
namespace {

std::string join_name(const std::string &where, const std::string &key) {
    return where.empty() || key.empty() ? where + key : where + "." + key;
}

} // namespace

bool known_at_run(const std::string &name) {
    return name == "schema" || name == "run_id" || name == "tenant" || name == "key" || name == "n";
}

std::string to_text(const Value &value) {
    if (const auto *text = std::get_if<std::string>(&value))
        return *text;
    if (const auto *integer = std::get_if<long long>(&value))
        return std::to_string(*integer);
    if (const auto *flag = std::get_if<bool>(&value))
        return *flag ? "true" : "false";
    return fmt::format("{}", std::get<double>(value));
}

void PlanContext::fail(const toml::node &node, const std::string &key, const std::string &what) const {
    throw UsageError(fmt::format("{}:{}: {}: {}", path, node.source().begin.line, key, what));
}

TomlTable::TomlTable(const PlanContext &context, const toml::table &table, std::string where)
    : context_(context), table_(table), where_(std::move(where)) {}

std::string TomlTable::name_of(const std::string &key) const {
    return join_name(where_, key);
}

void TomlTable::fail(const std::string &key, const std::string &what) const {
    const toml::node *node = table_.get(key);
    context_.fail(node != nullptr ? *node : table_, name_of(key), what);
}

std::vector<std::string> TomlTable::keys() const {
    std::vector<std::string> keys;
    for (const auto &[key, node] : table_)
        keys.emplace_back(key.str());
    return keys;
}

Value TomlTable::substitute(const std::string &text, const std::string &key) const {
    std::string result;
    std::size_t from = 0;
    for (std::size_t at = text.find("${"); at != std::string::npos; at = text.find("${", from)) {
        const std::size_t end = text.find('}', at);
        if (end == std::string::npos)
            fail(key, "\"${\" without \"}\"");
        const std::string name = text.substr(at + 2, end - at - 2);
        const auto param = context_.params.find(name);
        if (!known_at_run(name) && param == context_.params.end())
            fail(key, fmt::format("there is no param \"{}\"", name));
        if (!known_at_run(name) && at == 0 && end + 1 == text.size())
            return param->second; // keeps its type
        result += text.substr(from, at - from);
        result += known_at_run(name) ? "${" + name + "}" : to_text(param->second);
        from = end + 1;
    }
    return result + text.substr(from);
}

Value TomlTable::resolve(const toml::node &node, const std::string &key) const {
    if (const auto *text = node.as_string())
        return substitute(text->get(), key);
    if (const auto *integer = node.as_integer())
        return static_cast<long long>(integer->get());
    if (const auto *number = node.as_floating_point())
        return number->get();
    if (const auto *flag = node.as_boolean())
        return flag->get();
    fail(key, "must be a text, a number or true/false");
}

std::optional<Value> TomlTable::value(const std::string &key) {
    asked_.insert(key);
    const toml::node *node = table_.get(key);
    if (node == nullptr)
        return std::nullopt;
    return resolve(*node, key);
}

Value TomlTable::require(const std::string &key) {
    auto found = value(key);
    if (!found)
        fail(key, "is missing");
    return *found;
}

std::string TomlTable::text(const std::string &key) {
    const Value found = require(key);
    const auto *text = std::get_if<std::string>(&found);
    if (text == nullptr || text->empty())
        fail(key, fmt::format("must be a text, not {}", text == nullptr ? to_text(found) : "empty"));
    return *text;
}

std::string TomlTable::text(const std::string &key, const std::string &fallback) {
    asked_.insert(key);
    return has(key) ? text(key) : fallback;
}

long long TomlTable::integer(const std::string &key, Range range) {
    const Value found = require(key);
    const auto *number = std::get_if<long long>(&found);
    if (number == nullptr)
        fail(key, fmt::format("must be a whole number, not {}", to_text(found)));
    if (*number < range.min || *number > range.max)
        fail(key, fmt::format("must be from {} to {}, not {}", range.min, range.max, *number));
    return *number;
}

long long TomlTable::integer(const std::string &key, Range range, long long fallback) {
    asked_.insert(key);
    return has(key) ? integer(key, range) : fallback;
}

bool TomlTable::boolean(const std::string &key, bool fallback) {
    const auto found = value(key);
    if (!found)
        return fallback;
    const auto *flag = std::get_if<bool>(&*found);
    if (flag == nullptr)
        fail(key, fmt::format("must be true or false, not {}", to_text(*found)));
    return *flag;
}

Milliseconds TomlTable::as_duration(const Value &value, const std::string &key) const {
    const auto *text = std::get_if<std::string>(&value);
    const auto duration = text == nullptr ? std::nullopt : parse_duration(*text);
    if (!duration)
        fail(key,
             fmt::format("must be a duration such as \"30s\", \"5m\" or \"1m30s\", not {}", to_text(value)));
    return *duration;
}

Milliseconds TomlTable::duration(const std::string &key) {
    return as_duration(require(key), key);
}

std::optional<Milliseconds> TomlTable::optional_duration(const std::string &key) {
    const auto found = value(key);
    if (!found)
        return std::nullopt;
    return as_duration(*found, key);
}

double TomlTable::rate(const std::string &key) {
    const Value found = require(key);
    const auto *text = std::get_if<std::string>(&found);
    const auto rate = text == nullptr ? std::nullopt : parse_rate(*text);
    if (!rate)
        fail(key, fmt::format("must be a rate such as \"50/s\" or \"100/m\", not {}", to_text(found)));
    return *rate;
}

double TomlTable::number(const std::string &key, double least, double most, double fallback) {
    const auto found = value(key);
    if (!found)
        return fallback;
    const auto *whole = std::get_if<long long>(&*found);
    const auto *real = std::get_if<double>(&*found);
    const double number = whole != nullptr  ? static_cast<double>(*whole)
                          : real != nullptr ? *real
                                            : least - 1;
    if (number < least || number > most)
        fail(key, fmt::format("must be a number from {} to {}, not {}", least, most, to_text(*found)));
    return number;
}

std::vector<std::string> TomlTable::texts(const std::string &key) {
    asked_.insert(key);
    std::vector<std::string> texts;
    const toml::node *node = table_.get(key);
    if (node == nullptr)
        return texts;
    const toml::array *array = node->as_array();
    if (array == nullptr)
        fail(key, "must be a list of texts");
    for (const toml::node &element : *array) {
        if (!element.is_string())
            context_.fail(element, name_of(key), "must be a list of texts");
        texts.push_back(to_text(resolve(element, key)));
    }
    return texts;
}

void TomlTable::each_table(const std::string &key, const std::function<void(TomlTable &)> &read) {
    asked_.insert(key);
    const toml::node *node = table_.get(key);
    if (node == nullptr)
        return;
    if (const toml::table *one = node->as_table()) {
        TomlTable table(context_, *one, name_of(key));
        return read(table);
    }
    const toml::array *array = node->as_array();
    if (array == nullptr)
        fail(key, "must be a table");
    std::size_t index = 0;
    for (const toml::node &element : *array) {
        if (!element.is_table())
            context_.fail(element, name_of(key), "must be a table");
        TomlTable table(context_, *element.as_table(), fmt::format("{}[{}]", name_of(key), index++));
        read(table);
    }
}

void TomlTable::finish() const {
    for (const auto &[key, node] : table_)
        if (asked_.count(std::string(key.str())) == 0)
            context_.fail(node, name_of(std::string(key.str())),
                          fmt::format("unknown key; known here: {}", fmt::join(asked_, ", ")));
}

} // namespace fairq::driver::plan
