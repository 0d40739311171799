// The secret that locks of tenants and keys are hashed with. All sessions of a database have the same one, so that they make
// the same lock from the same name.
#pragma once

#include "core/siphash.hpp"

namespace fairq::tables {

core::SipKey secret();

} // namespace fairq::tables
