// process.cpp: see process.hpp. Between fork and exec only async-signal-safe calls are made: everything the
// child needs is prepared before.
#include "fault/process.hpp"

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <thread>

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>

#include "errors.hpp"

namespace fairq::driver::fault {
namespace {

constexpr const char *kServerUser = "postgres";
constexpr int kCannotExec = 127;
constexpr Milliseconds kPollPause{20};

/// Everything that the child touches, made before the fork.
struct ChildPlan {
    std::vector<char *> argv;
    const char *output;
    const char *folder;
    Identity identity;
    bool change_user;
    pid_t parent;
};

[[noreturn]] void run_child(const ChildPlan &plan) {
    setsid();
    for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGPIPE})
        std::signal(number, SIG_DFL);
    const int log = open(plan.output, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    const int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    const bool redirected =
        log >= 0 && null >= 0 && dup2(null, 0) >= 0 && dup2(log, 1) >= 0 && dup2(log, 2) >= 0;
    const bool switched =
        !plan.change_user ||
        (setgroups(0, nullptr) == 0 && setgid(plan.identity.gid) == 0 && setuid(plan.identity.uid) == 0);
    if (!redirected || !switched || chdir(plan.folder) != 0)
        _exit(kCannotExec);
    // After setuid, which clears it. SIGINT is PostgreSQL's fast shutdown: it also ends initdb.
    prctl(PR_SET_PDEATHSIG, SIGINT);
    if (getppid() != plan.parent)
        _exit(kCannotExec);
    execv(plan.argv[0], plan.argv.data());
    _exit(kCannotExec);
}

} // namespace

Identity server_identity() {
    if (geteuid() != 0) {
        const passwd *user = getpwuid(geteuid());
        return {geteuid(), getegid(), user != nullptr ? user->pw_name : std::to_string(geteuid())};
    }
    const passwd *user = getpwnam(kServerUser);
    if (user == nullptr)
        throw SetupError("PostgreSQL refuses to run as root, and there is no user postgres to run it as");
    return {user->pw_uid, user->pw_gid, user->pw_name};
}

Process Process::start(const Command &command, const Identity &identity) {
    ChildPlan plan{{},       command.output.c_str(),    command.folder.c_str(),
                   identity, identity.uid != geteuid(), getpid()};
    for (const std::string &argument : command.arguments)
        plan.argv.push_back(const_cast<char *>(argument.c_str())); // execv's signature is older than const
    plan.argv.push_back(nullptr);
    Process process;
    process.pid_ = fork();
    if (process.pid_ == 0)
        run_child(plan);
    if (process.pid_ < 0)
        throw SetupError(fmt::format("cannot start {}: {}", command.arguments[0], std::strerror(errno)));
    return process;
}

Process::Process(Process &&other) noexcept : pid_(other.pid_), status_(other.status_) {
    other.pid_ = -1;
}

Process &Process::operator=(Process &&other) noexcept {
    std::swap(pid_, other.pid_);
    std::swap(status_, other.status_);
    return *this;
}

Process::~Process() {
    kill();
}

void Process::kill() {
    if (!running())
        return;
    signal(SIGKILL);
    wait();
}

bool Process::running() {
    if (pid_ <= 0)
        return false;
    if (waitpid(pid_, &status_, WNOHANG) == 0)
        return true;
    pid_ = -1;
    return false;
}

int Process::wait() {
    while (pid_ > 0 && waitpid(pid_, &status_, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
    return WIFSIGNALED(status_) ? 128 + WTERMSIG(status_) : WEXITSTATUS(status_);
}

void Process::kill_all() {
    if (pid_ > 0)
        ::kill(-pid_, SIGKILL);
    kill();
}

bool Process::wait_for(Milliseconds patience, const std::function<bool()> &give_up) {
    const auto deadline = std::chrono::steady_clock::now() + patience;
    while (running()) {
        if (std::chrono::steady_clock::now() > deadline || (give_up && give_up()))
            return false;
        std::this_thread::sleep_for(kPollPause);
    }
    return true;
}

void Process::signal(int number) const {
    if (pid_ > 0)
        ::kill(pid_, number);
}

} // namespace fairq::driver::fault
