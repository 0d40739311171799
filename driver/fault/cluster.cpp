// cluster.cpp: see cluster.hpp. initdb and the server run as direct children in the foreground, so that their
// pid is ours and nothing is left to a pid file.
#include "fault/cluster.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <utility>
#include <vector>

#include <unistd.h>

#include <fmt/format.h>

#include "db/database.hpp"
#include "errors.hpp"
#include "interrupt.hpp"

namespace fairq::driver::fault {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kLongestSocketPath = 107;
constexpr const char *kSocketName = "/.s.PGSQL.5432.lock";
constexpr Milliseconds kInitPatience{120'000};
constexpr Milliseconds kStartPatience{60'000};
constexpr Milliseconds kStartPause{50};
constexpr Milliseconds kFastStop{15'000};
constexpr Milliseconds kImmediateStop{5'000};
constexpr const char *kOwnerFile = "/driver.pid"; ///< of the driver that made it; gone when it was kept
constexpr std::size_t kLogTail = 1500;
constexpr const char *kNoExtension = "the fairq extension is not installed for PostgreSQL {}: run make && "
                                     "sudo make install in its source folder";

/// The first line that a program prints; empty when it cannot run.
std::string first_line_of(const std::string &command) {
    FILE *pipe = popen((command + " 2>/dev/null").c_str(), "r");
    if (pipe == nullptr)
        return "";
    std::array<char, 4096> buffer{};
    const bool read = std::fgets(buffer.data(), static_cast<int>(buffer.size()), pipe) != nullptr;
    pclose(pipe);
    std::string line = read ? buffer.data() : "";
    line.erase(line.find_last_not_of("\r\n ") + 1);
    return line;
}

Installation inspect(const std::string &bin_folder) {
    Installation found;
    found.bin_folder = bin_folder;
    // initdb (PostgreSQL) 15.20
    const std::string version = first_line_of("'" + bin_folder + "/initdb' --version");
    const std::size_t digits = std::min(version.find_first_of("0123456789"), version.size());
    found.major = std::atoi(version.c_str() + digits);
    std::string share = first_line_of("'" + bin_folder + "/pg_config' --sharedir");
    if (share.empty()) // Debian has pg_config only with the development files
        share = fmt::format("/usr/share/postgresql/{}", found.major);
    found.has_fairq = fs::exists(share + "/extension/fairq.control");
    found.has_cron = fs::exists(share + "/extension/pg_cron.control");
    return found;
}

std::vector<std::string> bin_folders() {
    if (const char *configured = std::getenv("PG_CONFIG"); configured != nullptr && *configured != '\0')
        return {first_line_of(fmt::format("'{}' --bindir", configured))};
    std::vector<std::string> folders;
    std::error_code error;
    for (const auto &entry : fs::directory_iterator("/usr/lib/postgresql", error))
        folders.push_back(entry.path() / "bin");
    folders.push_back(first_line_of("pg_config --bindir"));
    return folders;
}

std::string quoted_setting(const std::string &value) {
    std::string quoted = "'";
    for (const char c : value)
        quoted += c == '\'' ? "''" : c == '\\' ? "\\\\" : std::string(1, c);
    return quoted + "'";
}

std::string tail_of(const std::string &path) {
    std::ifstream file(path);
    const std::string text((std::istreambuf_iterator<char>(file)), {});
    return text.size() <= kLogTail ? text : "..." + text.substr(text.size() - kLogTail);
}

/// Is there a process with the number in the first line of this file?
bool lives(const std::string &pid_file) {
    std::ifstream file(pid_file);
    pid_t pid = 0;
    return file >> pid && pid > 0 && (kill(pid, 0) == 0 || errno == EPERM);
}

/// As root the server runs as another user, who must be able to reach its folder.
bool others_may_enter(fs::path folder) {
    std::error_code error;
    for (folder = fs::absolute(folder); !error; folder = folder.parent_path()) {
        if ((fs::status(folder, error).permissions() & fs::perms::others_exec) == fs::perms::none)
            return false;
        if (folder == folder.root_path())
            return true;
    }
    return false;
}

} // namespace

std::vector<std::string> remove_abandoned_clusters() {
    std::vector<std::string> removed;
    std::set<std::string> parents{"/tmp"};
    if (const char *configured = std::getenv("TMPDIR"); configured != nullptr && *configured != '\0')
        parents.insert(configured);
    for (const std::string &parent : parents) {
        std::error_code error;
        for (const auto &entry : fs::directory_iterator(parent, error)) {
            const std::string folder = entry.path().string();
            const bool ours = entry.path().filename().string().compare(0, 6, "fairq-") == 0 &&
                              fs::exists(folder + kOwnerFile, error);
            if (ours && !lives(folder + kOwnerFile) && !lives(folder + "/data/postmaster.pid") &&
                fs::remove_all(folder, error) > 0 && !error)
                removed.push_back(folder);
        }
    }
    return removed;
}

Installation find_installation() {
    std::vector<Installation> found;
    for (const std::string &folder : bin_folders())
        if (fs::exists(folder + "/initdb"))
            found.push_back(inspect(folder));
    if (found.empty())
        throw SetupError(
            "no PostgreSQL server is installed here (no initdb): install postgresql 14 to 18, or name a "
            "database with --dsn");
    std::sort(found.begin(), found.end(),
              [](const Installation &a, const Installation &b) { return a.major > b.major; });
    for (const Installation &installation : found)
        if (installation.has_fairq)
            return installation;
    throw SetupError(fmt::format(kNoExtension, found[0].major));
}

Cluster::Cluster(const ClusterOptions &options)
    : installation_(find_installation()), identity_(server_identity()) {
    if (options.needs_cron && !installation_.has_cron)
        throw SetupError(
            fmt::format("pg_cron is not installed for PostgreSQL {0}: apt-get install postgresql-{0}-cron",
                        installation_.major));
    make_folder();
    try {
        init(options);
        start_server();
        create_extensions(options);
    } catch (...) {
        stop(); // no destructor runs for an object whose constructor failed
        throw;
    }
}

Cluster::~Cluster() {
    stop();
}

std::string Cluster::log_file() const {
    return folder_ + "/log";
}

std::string Cluster::conninfo(const std::string &database) const {
    return fmt::format("host='{}' port=5432 dbname='{}' user=postgres", folder_, database);
}

void Cluster::make_folder() {
    const char *configured = std::getenv("TMPDIR");
    std::string parent = configured != nullptr && *configured != '\0' ? configured : "/tmp";
    const std::size_t socket_path = parent.size() + std::strlen("/fairq-XXXXXX") + std::strlen(kSocketName);
    const bool reachable = identity_.uid == geteuid() || others_may_enter(parent);
    if (socket_path > kLongestSocketPath || !reachable)
        parent = "/tmp";
    std::string pattern = parent + "/fairq-XXXXXX";
    if (mkdtemp(pattern.data()) == nullptr)
        throw SetupError(fmt::format("cannot make a folder in {}: {}", parent, std::strerror(errno)));
    folder_ = pattern;
    std::ofstream(folder_ + kOwnerFile) << getpid() << "\n";
    if (identity_.uid != geteuid() && chown(folder_.c_str(), identity_.uid, identity_.gid) != 0)
        throw SetupError(
            fmt::format("cannot give {} to {}: {}", folder_, identity_.name, std::strerror(errno)));
}

void Cluster::init(const ClusterOptions &options) {
    const Command initdb{{installation_.bin_folder + "/initdb", "-D", folder_ + "/data", "-U", "postgres",
                          "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync",
                          "--no-instructions"},
                         log_file(),
                         folder_};
    Process process = Process::start(initdb, identity_);
    if (!process.wait_for(kInitPatience, interrupted)) {
        process.kill_all();
        if (interrupted())
            throw Interrupted();
        throw SetupError(fmt::format("initdb did not end within {}", format_duration(kInitPatience)));
    }
    if (process.wait() != 0)
        throw SetupError(fmt::format("initdb failed:\n{}", tail_of(log_file())));
    write_settings(options);
}

void Cluster::write_settings(const ClusterOptions &options) const {
    std::ofstream file(folder_ + "/data/postgresql.conf", std::ios::app);
    const auto set = [&](const std::string &name, const std::string &value) {
        file << name << " = " << quoted_setting(value) << "\n";
    };
    set("listen_addresses", "");
    set("unix_socket_directories", folder_);
    set("port", "5432");
    set("max_worker_processes", "32");
    set("shared_preload_libraries", installation_.has_cron ? "pg_cron,fairq" : "fairq");
    if (installation_.has_cron) {
        set("cron.database_name", "fairq");
        // Copied into every job when it is scheduled, so it has to be there from the start.
        set("cron.host", folder_);
        set("cron.use_background_workers", options.cron_background_workers ? "on" : "off");
    }
    for (const auto &[name, value] : options.settings)
        set(name, value);
    if (!file.flush())
        throw SetupError(fmt::format("cannot write the settings of the cluster in {}", folder_));
}

void Cluster::launch() {
    const Command postgres{
        {installation_.bin_folder + "/postgres", "-D", folder_ + "/data"}, log_file(), folder_};
    server_ = Process::start(postgres, identity_);
    server_pid_ = server_.pid();
}

void Cluster::strike(int signal) {
    struck_ = true;
    ::kill(server_pid_, signal);
}

bool Cluster::revive() {
    if (!struck_ || server_.running())
        return false;
    const auto deadline = std::chrono::steady_clock::now() + kStartPatience;
    db::Database database(conninfo("postgres"), "setup");
    while (std::chrono::steady_clock::now() < deadline) {
        // It refuses to start for as long as a process of the old one is there.
        if (!server_.running())
            launch();
        try {
            database.connect();
            struck_ = false;
            ++revivals_;
            return true;
        } catch (const db::DatabaseError &) { // not yet
        }
        if (!pause_for(kStartPause))
            throw Interrupted();
    }
    throw SetupError(fmt::format("the server did not come back after a fault:\n{}", tail_of(log_file())));
}

void Cluster::start_server() {
    launch();
    const auto deadline = std::chrono::steady_clock::now() + kStartPatience;
    db::Database database(conninfo("postgres"), "setup");
    while (true) {
        if (!pause_for(kStartPause))
            throw Interrupted();
        if (!server_.running() || std::chrono::steady_clock::now() > deadline)
            throw SetupError(fmt::format("the throw-away server did not start:\n{}", tail_of(log_file())));
        try {
            return database.connect();
        } catch (const db::DatabaseError &) { // still starting
        }
    }
}

void Cluster::create_extensions(const ClusterOptions &options) const {
    try {
        db::Database(conninfo("postgres"), "setup").query("CREATE DATABASE fairq");
        db::Database database(conninfo(), "setup");
        if (options.needs_cron)
            database.query("CREATE EXTENSION pg_cron");
        database.query("CREATE EXTENSION fairq");
    } catch (const db::DatabaseError &error) {
        throw SetupError(fmt::format("cannot set up the throw-away cluster: {}", error.what()));
    }
}

void Cluster::stop_server(int signal) {
    server_.signal(signal);
    if (signal == SIGINT && server_.wait_for(kFastStop))
        return;
    server_.signal(SIGQUIT);
    if (!server_.wait_for(kImmediateStop))
        server_.kill();
}

std::string Cluster::keep() {
    stop_server(SIGINT);
    std::error_code error;
    fs::remove(folder_ + kOwnerFile, error);
    return std::exchange(folder_, "");
}

void Cluster::stop() {
    stop_server(SIGQUIT); // nobody wants its data any more
    if (folder_.empty())
        return;
    std::error_code error;
    fs::remove_all(folder_, error);
    if (error)
        std::fprintf(stderr, "fairq: cannot remove %s: %s\n", folder_.c_str(), error.message().c_str());
    folder_.clear();
}

} // namespace fairq::driver::fault
