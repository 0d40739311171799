// What no role may do to the tables of the extension, because it would only be seen when a dump is restored.
#pragma once

#include "pg/boundary.hpp"

namespace fairq::tables {

// For an event trigger on ddl_command_start, which lives in the extension's schema. Raises JQ018.
void check_ddl(FunctionCallInfo call_info, Oid schema);

} // namespace fairq::tables
