// A background process of this database that no session waits for.
#pragma once

#include "pg/boundary.hpp"

namespace fairq::pg {

// Starts a process that calls this exported function of the library with the argument; false when there is no free slot. It
// ends when the function returns. Whether it does its work is not told.
bool start_background(const char *function, const char *name, Oid argument);
// To be called first by the function: connects to the database of the session that has started it. No role's rights limit the
// process, so it has to take those of a role by as_role().
void begin_background();

} // namespace fairq::pg
