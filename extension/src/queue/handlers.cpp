// Which function handles a job type inside the server, and as which role it runs.
#include "queue/handlers.hpp"

#include "queue/access.hpp"
#include "tables/owner.hpp"

namespace fairq::queue {

namespace {

// SQL is laid out by hand.
// clang-format off

// type, schema, name, role → the role of the type's handler; waits for a transaction that adds or drops one just
// now; then the row stays as it is until this transaction ends
const pg::Statement kAddHandler{pg::Plan::pinned, R"(
INSERT INTO @job_handlers AS h (job_type, handler_schema, handler_name, run_as)
VALUES ($1, $2::name, $3::name, $4::oid::regrole)
    ON CONFLICT (job_type) DO UPDATE SET handler_name = h.handler_name
RETURNING run_as::oid::bigint)", {TEXTOID, TEXTOID, TEXTOID, INT8OID}};

// the same, of a type that has one
const pg::Statement kSetHandler{pg::Plan::pinned, R"(
UPDATE @job_handlers SET handler_schema = $2::name, handler_name = $3::name, run_as = $4::oid::regrole, gone_since = NULL
 WHERE job_type = $1)", {TEXTOID, TEXTOID, TEXTOID, INT8OID}};

// type → role
const pg::Statement kHandlerOwner{pg::Plan::pinned,
    "SELECT run_as::oid::bigint FROM @job_handlers WHERE job_type = $1 FOR UPDATE", {TEXTOID}};

const pg::Statement kDropHandler{pg::Plan::pinned, "DELETE FROM @job_handlers WHERE job_type = $1", {TEXTOID}};

// this cluster → type, schema, name, role (NULL: the owner), is it the role that registered it?, known as gone?
// load_test has a built-in handler unless there is another one; it is in no table, because a subscription could not copy
// such a row to a server that has it already.
const pg::Statement kHandlers{pg::Plan::pinned, R"(
SELECT job_type, handler_schema::text, handler_name::text, run_as::oid::bigint,
       cluster IS DISTINCT FROM $1 OR cluster_role = run_as::oid, gone_since IS NOT NULL
  FROM @job_handlers
UNION ALL
SELECT 'load_test', nspname::text, 'run_load_test_job', NULL, true, false
  FROM pg_namespace
 WHERE oid = (SELECT typnamespace FROM pg_type WHERE oid = pg_typeof(NULL::@job_status))
   AND NOT EXISTS (SELECT FROM @job_handlers WHERE job_type = 'load_test'))", {INT8OID}};
struct HandlerRow {
    enum Column { job_type = 1, schema, name, role, same_role, known_as_gone };
};

// type, since when it is gone (NULL: it is not) → a row, if that was not known
const pg::Statement kNoteGone{pg::Plan::pinned, R"(
UPDATE @job_handlers SET gone_since = $2 WHERE job_type = $1 AND (gone_since IS NULL) = ($2 IS NOT NULL)
RETURNING job_type)", {TEXTOID, TIMESTAMPTZOID}};

// clang-format on

// register_job_handler and unregister_job_handler are SECURITY INVOKER, so that the current role is the caller's, also
// inside a SECURITY DEFINER function or a handler. Only the table is touched with the owner's rights.
template <class F>
void as_owner(F &&body) {
    pg::as_role(tables::owner_of_extension(pg::schema()), body);
}

// Only a role that may become the role of a handler (SET ROLE) can replace or drop the handler. If that role has been
// dropped, every role can that may register handlers.
void check_owner(const std::string &type, Oid owner) {
    if (pg::role_exists(owner) && !pg::may_become(pg::current_role(), owner))
        pg::raise_not_allowed("the handler of job type \"" + type + "\" belongs to role \"" +
                                  pg::role_name(owner) + "\"",
                              "Ask that role, or a superuser, to change it.");
}

// A type that the extension handles itself can be taken over by a superuser only.
void check_builtin(const std::string &type) {
    if (type == "load_test" && !pg::role_is_superuser(pg::current_role()))
        pg::raise_not_allowed("only a superuser replaces the built-in handler of job type \"" + type + "\"",
                              "Use a job type of your own.");
}

std::string quoted(const FunctionName &function) {
    return function.schema + "." + function.name + "(job_queue)";
}

// A role with the name of a dropped one is another role, and is not given what that one has registered. A handler whose
// role has been bound to tenants since is given no jobs: they would be of all tenants.
std::string defect_of(const FunctionName &name, std::optional<Oid> role, bool same_role) {
    Oid const function = find_function(name);
    if (!OidIsValid(function))
        return "function " + quoted(name) + " does not exist any more";
    if (std::string const defect = defect_of_function(function); !defect.empty())
        return "function " + quoted(name) + " " + defect;
    if (!role)
        return "";
    if (!same_role || !pg::role_exists(*role))
        return "the role that registered it does not exist any more";
    if (!may_execute(function, *role))
        return "role \"" + pg::role_name(*role) + "\" may not execute function " + quoted(name);
    if (!is_unbound(Capability::worker, *role))
        return "role \"" + pg::role_name(*role) + "\" has been bound to tenants";
    return "";
}

Handler handler_in(const pg::Rows &rows, size_t row) {
    Handler handler{rows.text_at(row, HandlerRow::job_type),
                    {rows.text_at(row, HandlerRow::schema), rows.text_at(row, HandlerRow::name)},
                    std::nullopt,
                    "",
                    rows.bool_at(row, HandlerRow::known_as_gone)};
    if (!rows.is_null(row, HandlerRow::role))
        handler.run_as = static_cast<Oid>(rows.int64_at(row, HandlerRow::role));
    handler.defect = defect_of(handler.function, handler.run_as, rows.bool_at(row, HandlerRow::same_role));
    return handler;
}

} // namespace

void register_handler(std::string_view job_type, Oid function) {
    std::string const type(job_type);
    check_unbound(Capability::worker); // a handler is given jobs of all tenants
    if (std::string const defect = defect_of_function(function); !defect.empty())
        pg::raise_bad_argument("handler " + std::to_string(function) + " " + defect,
                               "A handler is a function f(job job_queue) RETURNS void.");
    FunctionName const name = name_of_function(function);
    if (!may_execute(function, pg::current_role()))
        pg::raise_not_allowed(
            "permission denied for function " + name.schema + "." + name.name,
            "The handler runs as the role that registers it; that role needs EXECUTE on it.");
    check_builtin(type);
    pg::Value const values[] = {pg::of(job_type), pg::of(std::string_view(name.schema)),
                                pg::of(std::string_view(name.name)), pg::of(int64{pg::current_role()})};
    pg::with_spi([&] {
        // Adding comes first: it waits for another session that adds the same type at this moment, and then finds its
        // row.
        Oid owner = InvalidOid;
        as_owner([&] {
            pg::Rows const rows = pg::execute(kAddHandler, {values[0], values[1], values[2], values[3]});
            if (rows.empty())
                pg::raise_row_swallowed("job_handlers");
            owner = static_cast<Oid>(rows.int64_at(0, pg::kOnlyColumn));
        });
        check_owner(type, owner);
        as_owner([&] {
            pg::execute_all(kSetHandler, "job_handlers", 1, {values[0], values[1], values[2], values[3]});
        });
    });
}

bool unregister_handler(std::string_view job_type) {
    return pg::with_spi([&] {
        std::optional<Oid> owner;
        as_owner([&] {
            pg::Rows const rows = pg::execute(kHandlerOwner, {pg::of(job_type)});
            if (!rows.empty())
                owner = static_cast<Oid>(rows.int64_at(0, pg::kOnlyColumn));
        });
        if (!owner)
            return false;
        check_owner(std::string(job_type), *owner);
        as_owner([&] { pg::execute_all(kDropHandler, "job_handlers", 1, {pg::of(job_type)}); });
        return true;
    });
}

std::vector<Handler> all_handlers() {
    return pg::with_spi([] {
        pg::Rows const rows = pg::execute(kHandlers, {pg::of(pg::cluster_id())});
        std::vector<Handler> handlers;
        for (size_t row = 0; row < rows.size(); ++row)
            handlers.push_back(handler_in(rows, row));
        return handlers;
    });
}

std::vector<Handler> runnable_handlers(Oid role) {
    std::vector<Handler> handlers = all_handlers();
    auto const is_not_for = [&](const Handler &handler) {
        return !handler.defect.empty() || (handler.run_as && !pg::may_become(role, *handler.run_as));
    };
    handlers.erase(std::remove_if(handlers.begin(), handlers.end(), is_not_for), handlers.end());
    return handlers;
}

std::optional<std::string> handler_defect(std::string_view job_type) {
    for (Handler const &handler : all_handlers())
        if (handler.job_type == job_type && !handler.defect.empty())
            return handler.defect;
    return std::nullopt;
}

int64 gone_handlers() {
    std::vector<Handler> const handlers = all_handlers();
    return std::count_if(handlers.begin(), handlers.end(),
                         [](auto &handler) { return !handler.defect.empty(); });
}

// Of ticks at the same time, one changes the row, and logs.
void note_gone_handlers() {
    pg::with_spi([] {
        for (Handler const &handler : all_handlers()) {
            bool const gone = !handler.defect.empty();
            if (gone == handler.known_as_gone)
                continue;
            pg::Value const since = gone ? pg::of_time(pg::now()) : pg::Value{};
            if (!pg::execute(kNoteGone, {pg::of(std::string_view(handler.job_type)), since}).empty())
                pg::log_gone_handler(handler.job_type, handler.defect);
        }
    });
}

} // namespace fairq::queue
