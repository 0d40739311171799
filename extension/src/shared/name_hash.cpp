// Hashing of names, and the key of this process (see name_hash.hpp).
#include "shared/name_hash.hpp"

#include "pg/values.hpp"

namespace fairq::shared {

core::SipKey draw_key() {
    core::SipKey key;
    if (!pg_strong_random(&key, sizeof key))
        elog(FATAL, "could not generate random bits");
    return key;
}

size_t NameHash::operator()(std::string_view name) const {
    static core::SipKey key{0, 0};
    if (key.first == 0)
        key = {pg::random_bits() | 1, pg::random_bits()};
    return core::siphash(key, name);
}

} // namespace fairq::shared
