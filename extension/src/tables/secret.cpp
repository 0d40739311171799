// The secret of a database (see secret.hpp), made of the server's secret.
#include "tables/secret.hpp"

#include "pg/boundary.hpp"
#include "pg/server_secret.hpp"

namespace fairq::tables {

core::SipKey secret() {
    std::array<std::uint64_t, 4> const server = pg::server_secret();
    core::SipKey const key{server[0], server[1]};
    auto const part = [&](std::uint64_t number) {
        std::uint64_t const text[] = {server[2], server[3], MyDatabaseId, number};
        return core::siphash(key, std::string_view(reinterpret_cast<const char *>(text), sizeof text));
    };
    return {part(0), part(1)};
}

} // namespace fairq::tables
