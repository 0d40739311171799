// Which function handles a job type inside the server, and as which role it runs.
#pragma once

#include "queue/handler_function.hpp"

#include <optional>

namespace fairq::queue {

void register_handler(std::string_view job_type, Oid function);
bool unregister_handler(std::string_view job_type);

struct Handler {
    std::string job_type;
    FunctionName function;
    std::optional<Oid> run_as; // none: the owner of the extension
    std::string defect;        // why no tick can run it; empty: ticks of roles that may become run_as can
    bool known_as_gone;        // its defect has been logged
};
std::vector<Handler> all_handlers();              // one for each job type
std::vector<Handler> runnable_handlers(Oid role); // by a tick of this role

// Why ticks cannot run the handler that is registered for the type; none: they can, or there is none.
std::optional<std::string> handler_defect(std::string_view job_type);
int64 gone_handlers(); // how many have a defect
// Logs a warning for each handler that has a defect since the last time, and a message when it has none any more.
void note_gone_handlers();

} // namespace fairq::queue
