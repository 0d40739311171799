// Hashes of names that users choose: each by a secret key, or somebody would choose names that
// all go into one bucket. Where the order of a walk must not depend on the key, std::map keeps the names.
#pragma once

#include "core/siphash.hpp"
#include "pg/boundary.hpp"

#include <unordered_map>

namespace fairq::shared {

// In this process's own memory: by a key of the process.
struct NameHash {
    size_t operator()(std::string_view name) const;
};
template <class T>
using NameMap = std::unordered_map<std::string, T, NameHash>;

} // namespace fairq::shared
