// Comparing versions (see script_version.hpp).
#include "pg/script_version.hpp"

#include "pg/errors.hpp"

namespace fairq::pg {

namespace {

constexpr char kLibraryVersion[] = FAIRQ_VERSION;
// The versions were the same, and no function has changed since: an update of the extension changes functions.
bool agree = false;

void forget(Datum, int, uint32) {
    agree = false;
}

// The extension's version in this database; empty when its functions were created without CREATE EXTENSION.
std::string script_version() {
    char version[64] = "";
    call([&] {
        Relation const extensions = table_open(ExtensionRelationId, AccessShareLock);
        ScanKeyData name;
        ScanKeyInit(&name, Anum_pg_extension_extname, BTEqualStrategyNumber, F_NAMEEQ,
                    CStringGetDatum("fairq"));
        SysScanDesc const scan =
            systable_beginscan(extensions, ExtensionNameIndexId, true, nullptr, 1, &name);
        bool null = true;
        if (HeapTuple const row = systable_getnext(scan)) {
            Datum const value =
                heap_getattr(row, Anum_pg_extension_extversion, RelationGetDescr(extensions), &null);
            if (!null)
                strlcpy(version, TextDatumGetCString(value), sizeof version);
        }
        systable_endscan(scan);
        table_close(extensions, AccessShareLock);
    });
    return version;
}

} // namespace

void install_version_callbacks() {
    CacheRegisterSyscacheCallback(PROCOID, forget, 0);
}

void check_script_version() {
    if (agree)
        return;
    agree = true; // before the lookup, so that forget() can take it back when a function changes meanwhile
    std::string const script = script_version();
    if (!script.empty() && script != kLibraryVersion) {
        agree = false;
        raise_other_version(kLibraryVersion, script);
    }
}

} // namespace fairq::pg
