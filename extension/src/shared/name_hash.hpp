// Hashes of the names that users choose, each by a secret key: without the key a user could choose names that all go
// into one bucket. Where the order of a walk must not depend on the key, a std::map keeps the names.
#pragma once

#include "core/siphash.hpp"
#include "pg/boundary.hpp"

#include <unordered_map>

namespace fairq::shared {

// A new random key, for a shared-memory segment that is being initialized.
core::SipKey draw_key();

// For hash tables in the memory of this process: by a key that only this process has.
struct NameHash {
    size_t operator()(std::string_view name) const;
};
template <class T>
using NameMap = std::unordered_map<std::string, T, NameHash>;

} // namespace fairq::shared
