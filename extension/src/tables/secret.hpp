// The secret that locks of tenants and keys are hashed with: one a database, in the table queue_secret. All
// sessions have the same one, or their locks would mean nothing to each other.
#pragma once

#include "core/siphash.hpp"
#include "pg/boundary.hpp"

namespace fairq::tables {

const core::SipKey &secret(Oid schema);

} // namespace fairq::tables
