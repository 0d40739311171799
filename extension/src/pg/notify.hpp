// NOTIFY with a payload that always fits.
#pragma once

#include "pg/values.hpp"

namespace fairq::pg {

// Sends `payload` on `channel` at commit. payload is at most kMaxNotifyBytes long (core/limits.hpp).
void notify(std::string_view channel, std::string_view payload);

} // namespace fairq::pg
