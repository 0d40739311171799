// For a function that stands for a table in a query: the conditions on its rows that the function may check itself,
// for example by an index, because it makes no visible difference where they are checked.
#pragma once

#include "pg/boundary.hpp"

namespace fairq::pg {

// The conditions, as SQL about the columns of `rows` (a relation whose row type the function returns) under
// the name `alias`; empty when there are none. They compare columns with constants, by functions of PostgreSQL's own
// that reveal nothing about their arguments. The query still checks all of its conditions itself.
std::string pushed_conditions(FunctionCallInfo call_info, const char *alias, Oid rows);

} // namespace fairq::pg
