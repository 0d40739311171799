// The owner of the extension.
#pragma once

#include "pg/boundary.hpp"

namespace fairq::tables {

// The owner of job_live: the extension's statements need this role's rights. Raises when the extension is gone.
Oid owner_of_extension(Oid schema);
// Whether the schema has such a relation and the extension's owner owns it. A relation of that name that
// belongs to another role was planted there.
bool extension_owns(Oid schema, const char *relation);

} // namespace fairq::tables
