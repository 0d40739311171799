// The library and the install script that made its SQL functions have to be of one version.
#pragma once

namespace fairq::pg {

void install_version_callbacks(); // by _PG_init

// Raises 55000 when the script is of another version than this library: somebody has installed a new library without
// ALTER EXTENSION, or has updated the extension while this session had the old library loaded. It costs a look at a
// flag, but for the first call after functions have changed.
void check_script_version();

} // namespace fairq::pg
