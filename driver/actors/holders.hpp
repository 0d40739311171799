// holders.hpp: sessions that hold something while others work: an advisory lock, a row, a table, a snapshot;
// each in a transaction of its own that does nothing else.
#pragma once

#include "actors/actor.hpp"

namespace fairq::driver::actors {

class Holders : public Actor {
public:
    /// Returns when all of them hold what they are to. Throws DatabaseError when one cannot.
    Holders(const plan::HoldersActor &actor, const Stage &stage);

    Figures stop() override;

private:
    std::string name_;
    std::vector<std::unique_ptr<db::Database>> sessions_;
    std::vector<int> backends_;
};

} // namespace fairq::driver::actors
