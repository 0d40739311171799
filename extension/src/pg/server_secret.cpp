// The nonce of pg_control (see server_secret.hpp). The server itself uses it to answer logins of roles that do not exist; what
// it shows of it there is a SHA-256 hash, from which nobody gets back to the nonce.
#include "pg/server_secret.hpp"

#include "pg/boundary.hpp"

namespace fairq::pg {

std::array<std::uint64_t, 4> server_secret() {
    std::array<std::uint64_t, 4> secret{};
    static_assert(sizeof secret == MOCK_AUTH_NONCE_LEN);
    memcpy(secret.data(), GetMockAuthenticationNonce(), sizeof secret);
    return secret;
}

} // namespace fairq::pg
