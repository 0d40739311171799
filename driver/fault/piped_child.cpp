// piped_child.cpp: see piped_child.hpp. A socket instead of two pipes: writing to a child that is gone raises no signal.
#include "fault/piped_child.hpp"

#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>

#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>

#include "errors.hpp"

extern char **environ;

namespace fairq::driver::fault {
namespace {

constexpr std::size_t kChunk = 65'536;

void check(int error, const char *what) {
    if (error != 0)
        throw SetupError(fmt::format("cannot start a worker process: {}: {}", what, std::strerror(error)));
}

pid_t spawn(const std::vector<std::string> &arguments, int socket) {
    std::vector<char *> argv;
    for (const std::string &argument : arguments)
        argv.push_back(const_cast<char *>(argument.c_str())); // older than const
    argv.push_back(nullptr);
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    check(posix_spawn_file_actions_init(&files), "files");
    check(posix_spawnattr_init(&attributes), "attributes");
    posix_spawn_file_actions_adddup2(&files, socket, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&files, socket, STDOUT_FILENO);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
    posix_spawnattr_setpgroup(&attributes, 0);
    pid_t pid = -1;
    const int error = posix_spawn(&pid, argv[0], &files, &attributes, argv.data(), environ);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attributes);
    check(error, argv[0]);
    return pid;
}

} // namespace

PipedChild::PipedChild(const std::vector<std::string> &arguments) {
    int ends[2];
    check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0 ? 0 : errno, "socketpair");
    socket_ = ends[0];
    try {
        pid_ = spawn(arguments, ends[1]);
    } catch (...) {
        close(ends[0]);
        close(ends[1]);
        throw;
    }
    close(ends[1]);
}

PipedChild::~PipedChild() {
    if (pid_ > 0) {
        ::kill(pid_, SIGKILL);
        reap();
    }
    close(socket_);
}

void PipedChild::send(const std::string &line) const {
    const std::string text = line + "\n";
    for (std::size_t sent = 0; sent < text.size();) {
        const ssize_t n = ::send(socket_, text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
        if (n < 0 && errno != EINTR)
            return;
        sent += n < 0 ? 0 : static_cast<std::size_t>(n);
    }
}

PipedChild::Read PipedChild::read(std::string &line, Milliseconds patience) {
    while (true) {
        if (const std::size_t end = buffer_.find('\n'); end != std::string::npos) {
            line = buffer_.substr(0, end);
            buffer_.erase(0, end + 1);
            return Read::line;
        }
        pollfd waiting{socket_, POLLIN, 0};
        if (poll(&waiting, 1, static_cast<int>(patience.count())) <= 0)
            return Read::nothing;
        char chunk[kChunk];
        const ssize_t n = recv(socket_, chunk, sizeof chunk, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return Read::end; // half a line of a killed child says nothing
        buffer_.append(chunk, static_cast<std::size_t>(n));
    }
}

int PipedChild::wait_for_end() const {
    siginfo_t info{};
    while (waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOWAIT) != 0 && errno == EINTR) {
    }
    return info.si_code == CLD_KILLED || info.si_code == CLD_DUMPED ? info.si_status : 0;
}

void PipedChild::reap() {
    while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
}

std::string own_binary() {
    const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe");
    const std::filesystem::path beside = self.parent_path() / "fairq"; // of the tests
    return std::filesystem::exists(beside) ? beside.string() : self.string();
}

} // namespace fairq::driver::fault
