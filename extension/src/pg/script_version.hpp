// The library and the install script that made its SQL functions have to be of one version.
#pragma once

namespace fairq::pg {

void install_version_callbacks(); // by _PG_init

// Raises 55000 when the script is of another version than this library: a new library was installed without ALTER
// EXTENSION, or the extension was updated while this session had the old library loaded. Except for the first call
// after a change of functions, it only reads a flag.
void check_script_version();

} // namespace fairq::pg
