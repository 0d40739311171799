// A secret of this server for keys of hashes: random, made by initdb, the same after a restart and on its standbys. It is
// in no table, so no role reads it, no dump has it, and no publication sends it.
#pragma once

#include <array>
#include <cstdint>

namespace fairq::pg {

std::array<std::uint64_t, 4> server_secret();

} // namespace fairq::pg
