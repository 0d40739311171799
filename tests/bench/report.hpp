// report.hpp: what was measured, as tables for people and as JSON.
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace fairq::bench {

using Fields = nlohmann::ordered_json;

class Report {
public:
    /// Where and with what it was measured.
    explicit Report(Fields about);

    /// Rows are objects with the same keys: the columns. Prints the table at once.
    void table(const std::string &name, const std::string &note, const std::vector<Fields> &rows);

    /// What must hold on every machine, however fast.
    void check(const std::string &name, bool holds, const std::string &found);

    void write(const std::string &file) const;
    int passed() const { return passed_; }
    int failed() const { return failed_; }

private:
    Fields document_;
    int passed_ = 0, failed_ = 0;
};

} // namespace fairq::bench
