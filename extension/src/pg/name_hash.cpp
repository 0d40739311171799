// The key of this process (see name_hash.hpp).
#include "pg/name_hash.hpp"

#include "pg/values.hpp"

namespace fairq::pg {

size_t NameHash::operator()(std::string_view name) const {
    static core::SipKey key{0, 0};
    if (key.first == 0)
        key = {random_bits() | 1, random_bits()};
    return core::siphash(key, name);
}

} // namespace fairq::pg
