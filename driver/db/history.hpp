// history.hpp: what happened to jobs and caps, in the order of the commits. By logical decoding: nothing hangs on the
// tables, so claims take the way that they take anywhere. And notes that sessions add to the history.
#pragma once

#include <functional>
#include <string>

#include "db/database.hpp"
#include "judge/history.hpp"

namespace fairq::driver::db {

/// Read from a slot of the server that goes with its session, so that nothing is kept for a reader that is gone. When the
/// session is lost, so is the history.
class History {
public:
    /// The slot's name is free to choose; `schema` is the extension's, quoted where it must be.
    History(const std::string &conninfo, const std::string &name, std::string schema = "public");

    /// Why it cannot be: the server keeps no logical WAL, or the role may not; empty: it can.
    std::string obstacle();

    /// The history begins here. Not while transactions run that began before: it waits for their end.
    void begin();

    /// All commits since, in their order; ends the history. Throws DatabaseError when it was lost meanwhile.
    void end(const std::function<void(const judge::Commit &)> &take);

private:
    bool read_some(judge::Commit &commit, const std::function<void(const judge::Commit &)> &take);

    Database database_;
    const std::string name_, schema_;
    int backend_ = 0;
};

/// Statements that add a note to the history, if the transaction commits. They return no row of use.
std::string note_call_began();
std::string note_call_ended();
std::string note_cap_in_force(const std::string &tenant);

} // namespace fairq::driver::db
