// The secret that locks of tenants and keys are hashed with. The database's table queue_secret holds it, so that all
// sessions make the same lock from the same name.
#pragma once

#include "core/siphash.hpp"
#include "pg/boundary.hpp"

namespace fairq::tables {

const core::SipKey &secret(Oid schema);

} // namespace fairq::tables
