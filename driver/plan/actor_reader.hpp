// actor_reader.hpp: the actors of a phase, from their tables. Each function refuses what it does not know.
#pragma once

#include "plan/plan.hpp"
#include "plan/toml_table.hpp"

namespace fairq::driver::plan {

SeedActor read_seed(TomlTable &table);
EnqueueActor read_enqueue(TomlTable &table);
CallsActor read_calls(TomlTable &table);
HoldersActor read_holders(TomlTable &table);
FaultsActor read_faults(TomlTable &table);

/// Of any kind: they go to different places of the phase.
void read_workers(TomlTable &table, Phase &phase);

std::vector<NamedActor> named_actors(const Phase &phase);

} // namespace fairq::driver::plan
