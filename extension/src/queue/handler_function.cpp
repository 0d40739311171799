// Functions of users (see handler_function.hpp).
#include "queue/handler_function.hpp"

#include "pg/spi.hpp"

namespace fairq::queue {

Oid job_row_type() {
    Oid const schema = pg::schema();
    return pg::call([&] { return get_rel_type_id(get_relname_relid("job_queue", schema)); });
}

Oid find_function(const FunctionName &function) {
    Oid const argument = job_row_type();
    return pg::call([&] {
        Oid const schema = get_namespace_oid(function.schema.c_str(), true);
        if (!OidIsValid(schema))
            return InvalidOid;
        oidvector *const arguments = buildoidvector(&argument, 1);
        return GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid, CStringGetDatum(function.name.c_str()),
                               PointerGetDatum(arguments), ObjectIdGetDatum(schema));
    });
}

std::string defect_of_function(Oid function) {
    Oid const argument = job_row_type();
    return pg::call([&] {
        HeapTuple const tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
        if (!HeapTupleIsValid(tuple))
            return "does not exist any more";
        auto const *const proc = reinterpret_cast<Form_pg_proc>(GETSTRUCT(tuple));
        const char *defect = "";
        if (proc->prokind != PROKIND_FUNCTION)
            defect = "is no plain function";
        else if (proc->pronargs != 1 || proc->proargtypes.values[0] != argument)
            defect = "does not take exactly one argument of type job_queue";
        else if (proc->prorettype != VOIDOID)
            defect = "does not return void";
        ReleaseSysCache(tuple);
        return defect;
    });
}

FunctionName name_of_function(Oid function) {
    const char *name = nullptr, *schema = nullptr;
    pg::call([&] {
        name = get_func_name(function);
        schema = get_namespace_name(get_func_namespace(function));
    });
    return {schema, name};
}

bool may_execute(Oid function, Oid role) {
    return pg::call([&] { return pg::compat::may_execute(function, role); });
}

} // namespace fairq::queue
