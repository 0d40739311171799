// Functions that handle jobs: f(job job_queue) RETURNS void.
#pragma once

#include "pg/boundary.hpp"

namespace fairq::queue {

struct FunctionName {
    std::string schema, name;
};

Oid job_row_type(); // of the view job_queue
// The function schema.name(job_queue), or InvalidOid.
Oid find_function(const FunctionName &function);
// What is wrong with it as a handler, or an empty string.
std::string defect_of_function(Oid function);
FunctionName name_of_function(Oid function);
bool may_execute(Oid function, Oid role);

} // namespace fairq::queue
