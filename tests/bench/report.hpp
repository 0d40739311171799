// report.hpp: what was measured, as tables for people and as JSON.
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "measure.hpp"

namespace fairq::bench {

using Fields = nlohmann::ordered_json;

/// As a cell: "median [least-most]", each with so many digits behind the point; the median alone when there
/// is no spread.
Fields figure(const Samples &samples, int digits);

struct Bound {
    bool at_least;
    double value;
};
inline Bound at_least(double value) {
    return {true, value};
}
inline Bound at_most(double value) {
    return {false, value};
}

class Report {
public:
    /// Where and with what it was measured; judge: is there enough of it to be held against targets?
    Report(Fields about, bool judge);

    /// Rows are objects with the same keys: the columns. Prints the table at once.
    void table(const std::string &name, const std::string &note, const std::vector<Fields> &rows);

    /// A cell: is this target met? All of them are listed again at the end. No test: it depends on the
    /// machine.
    std::string target(const std::string &what, double found, const Bound &bound);
    void print_targets() const;

    /// What must hold on every machine, however fast.
    void check(const std::string &name, bool holds, const std::string &found);
    /// The same check where it is known to be broken: it must say no.
    void can_fail(const std::string &name, bool holds, const std::string &found);

    void write(const std::string &file) const;
    int passed() const { return passed_; }
    int failed() const { return failed_; }

private:
    Fields document_;
    bool judge_;
    std::vector<Fields> targets_;
    int passed_ = 0, failed_ = 0;
};

} // namespace fairq::bench
