// Which function handles a job type inside the server, and as which role it runs.
#include "queue/access.hpp"
#include "tables/owner.hpp"
#include "ticks/ticks.hpp"

namespace fairq::ticks {

namespace {

// SQL is laid out by hand.
// clang-format off

// type, schema, name, role → the role of the type's handler; waits for a transaction that adds or drops one just
// now; then the row stays as it is until this transaction ends
const pg::Statement kAddHandler{pg::Plan::pinned, R"(
INSERT INTO @job_handlers AS h (job_type, handler_schema, handler_name, run_as) VALUES ($1, $2::name, $3::name, $4::name)
    ON CONFLICT (job_type, builtin) DO UPDATE SET run_as = h.run_as
RETURNING run_as::text)", {TEXTOID, TEXTOID, TEXTOID, TEXTOID}};

// the same, of a type that has one
const pg::Statement kSetHandler{pg::Plan::pinned, R"(
UPDATE @job_handlers SET handler_schema = $2::name, handler_name = $3::name, run_as = $4::name
 WHERE job_type = $1 AND NOT builtin)", {TEXTOID, TEXTOID, TEXTOID, TEXTOID}};

// type → role
const pg::Statement kHandlerOwner{pg::Plan::pinned,
    "SELECT run_as::text FROM @job_handlers WHERE job_type = $1 AND NOT builtin FOR UPDATE", {TEXTOID}};

const pg::Statement kDropHandler{pg::Plan::pinned, "DELETE FROM @job_handlers WHERE job_type = $1 AND NOT builtin", {TEXTOID}};

// → type, schema, name, role (NULL: the owner). load_test has a built-in handler; it is in no table, because a
// subscription could not copy such a row to a server that has it already.
const pg::Statement kHandlers{pg::Plan::pinned, R"(
SELECT job_type, handler_schema::text, handler_name::text, run_as::text FROM @job_handlers
UNION ALL
SELECT 'load_test', nspname::text, 'run_load_test_job', NULL
  FROM pg_namespace
 WHERE oid = (SELECT typnamespace FROM pg_type WHERE oid = pg_typeof(NULL::@job_status))
   AND NOT EXISTS (SELECT FROM @job_handlers WHERE job_type = 'load_test'))"};
struct HandlerRow {
    enum Column { job_type = 1, schema, name, role };
};

// clang-format on

Oid job_row_type() {
    return row_type_of_view(pg::schema(), "job_queue");
}

// register_job_handler and unregister_job_handler are SECURITY INVOKER, so that the current role is the caller's, also
// inside a SECURITY DEFINER function or a handler. Only the table is touched with the owner's rights.
template <class F>
void as_owner(F &&body) {
    pg::as_role(tables::owner_of_extension(pg::schema()), body);
}

// Only a role that may become the role of a handler (SET ROLE) can replace or drop the handler.
void check_owner(const std::string &type, const std::string &owner) {
    std::optional<Oid> const role = pg::role_by_name(owner);
    if (role && !pg::may_become(pg::current_role(), *role))
        pg::raise_not_allowed("the handler of job type \"" + type + "\" belongs to role \"" + owner + "\"",
                              "Ask that role, or a superuser, to change it.");
}

// A type that the extension handles itself can be taken over by a superuser only.
void check_builtin(const std::string &type) {
    if (type == "load_test" && !pg::role_is_superuser(pg::current_role()))
        pg::raise_not_allowed("only a superuser replaces the built-in handler of job type \"" + type + "\"",
                              "Use a job type of your own.");
}

} // namespace

void register_handler(std::string_view job_type, Oid function) {
    std::string const type(job_type);
    queue::check_unbound(queue::Capability::worker); // a handler is given jobs of all tenants
    std::string const defect = handler_defect(function, job_row_type());
    if (!defect.empty())
        pg::raise_bad_argument("handler " + std::to_string(function) + " " + defect,
                               "A handler is a function f(job job_queue) RETURNS void.");
    FunctionName const name = name_of_function(function);
    if (!may_execute(function, pg::current_role()))
        pg::raise_not_allowed(
            "permission denied for function " + name.schema + "." + name.name,
            "The handler runs as the role that registers it; that role needs EXECUTE on it.");
    check_builtin(type);
    std::string const role = pg::role_name(pg::current_role());
    pg::Value const values[] = {pg::of(job_type), pg::of(std::string_view(name.schema)),
                                pg::of(std::string_view(name.name)), pg::of(std::string_view(role))};
    pg::with_spi([&] {
        // Adding comes first: it waits for another session that adds the same type at this moment, and then finds its
        // row.
        std::string owner;
        as_owner([&] {
            pg::Rows const rows = pg::execute(kAddHandler, {values[0], values[1], values[2], values[3]});
            if (rows.empty())
                pg::raise_row_swallowed("job_handlers");
            owner = rows.text_at(0, pg::kOnlyColumn);
        });
        check_owner(type, owner);
        as_owner([&] {
            pg::execute_all(kSetHandler, "job_handlers", 1, {values[0], values[1], values[2], values[3]});
        });
    });
}

bool unregister_handler(std::string_view job_type) {
    return pg::with_spi([&] {
        std::optional<std::string> owner;
        as_owner([&] {
            pg::Rows const rows = pg::execute(kHandlerOwner, {pg::of(job_type)});
            owner = rows.empty() ? std::nullopt : std::optional(rows.text_at(0, pg::kOnlyColumn));
        });
        if (!owner)
            return false;
        check_owner(std::string(job_type), *owner);
        as_owner([&] { pg::execute_all(kDropHandler, "job_handlers", 1, {pg::of(job_type)}); });
        return true;
    });
}

// A handler whose role has been bound to tenants since is given no jobs: they would be of all tenants.
std::vector<Handler> runnable_handlers(Oid role) {
    Oid const row_type = job_row_type();
    return pg::with_spi([&] {
        pg::Rows const rows = pg::execute(kHandlers);
        std::vector<Handler> handlers;
        for (size_t row = 0; row < rows.size(); ++row) {
            Handler handler{rows.text_at(row, HandlerRow::job_type),
                            {rows.text_at(row, HandlerRow::schema), rows.text_at(row, HandlerRow::name)},
                            std::nullopt};
            if (!OidIsValid(find_function(handler.function, row_type)))
                continue;
            if (!rows.is_null(row, HandlerRow::role)) {
                handler.run_as = pg::role_by_name(rows.text_at(row, HandlerRow::role));
                if (!handler.run_as || !pg::may_become(role, *handler.run_as) ||
                    !queue::is_unbound(queue::Capability::worker, *handler.run_as))
                    continue;
            }
            handlers.push_back(std::move(handler));
        }
        return handlers;
    });
}

} // namespace fairq::ticks
