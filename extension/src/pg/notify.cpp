// NOTIFY (see notify.hpp). PostgreSQL itself refuses a bad channel name, with its own error.
#include "pg/notify.hpp"

namespace fairq::pg {

void notify(std::string_view channel, std::string_view payload) {
    std::string const name(channel), text(payload);
    call([&] {
        PreventCommandDuringRecovery("NOTIFY");
        Async_Notify(name.c_str(), text.c_str());
    });
}

} // namespace fairq::pg
