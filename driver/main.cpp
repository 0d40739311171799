// main.cpp: reads the command line, calls the verb that it names, and turns what comes back into an exit
// code.
#include <clocale>
#include <cstdlib>

#include "cli/output.hpp"
#include "cli/verbs.hpp"
#include "errors.hpp"
#include "interrupt.hpp"

namespace {

using namespace fairq::driver;

int dispatch(const cli::Options &options) {
    switch (options.verb) {
    case cli::Verb::run:
        return cli::run(options);
    case cli::Verb::list:
        return cli::list(options);
    case cli::Verb::check:
        return cli::check(options);
    case cli::Verb::cleanup:
        return cli::cleanup(options);
    case cli::Verb::selftest:
        return cli::selftest(options);
    case cli::Verb::worker:
        return cli::worker(options);
    case cli::Verb::report:
        return cli::report(options);
    case cli::Verb::compare:
        return cli::compare(options);
    case cli::Verb::help:
        break;
    }
    return exit_code(cli::with_output(judge::Outcome::pass, cli::print(stdout, options.help)));
}

} // namespace

int main(int argc, char **argv) {
    std::setlocale(LC_CTYPE, "");
    install_signal_handlers();
    setenv("PGCONNECT_TIMEOUT", "10", 0); // libpq's own default is for ever
    try {
        return dispatch(cli::parse_options(argc, argv));
    } catch (const UsageError &error) {
        return cli::complain(judge::Outcome::usage, error.what());
    } catch (const SetupError &error) {
        return cli::complain(judge::Outcome::setup, error.what());
    } catch (const Interrupted &error) {
        return cli::complain(judge::Outcome::aborted, error.what());
    } catch (const std::exception &error) {
        return cli::complain(judge::Outcome::inconclusive, error.what());
    }
}
