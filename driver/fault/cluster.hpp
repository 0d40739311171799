// cluster.hpp: a throw-away PostgreSQL cluster with pg_cron and fairq: a folder, a unix socket in it, no
// network. It is stopped and its folder removed when the object goes. Should the driver be killed outright,
// the kernel stops the server, and only the folder under $TMPDIR stays, for remove_abandoned_clusters().
#pragma once

#include <atomic>
#include <map>
#include <string>
#include <vector>

#include "fault/process.hpp"

namespace fairq::driver::fault {

/// Removes the folders of throw-away clusters whose driver and server are gone; returns their names. Those
/// that were kept on purpose stay.
std::vector<std::string> remove_abandoned_clusters();

/// A PostgreSQL on this machine.
struct Installation {
    std::string bin_folder;
    int major = 0;
    bool has_fairq = false;
    bool has_cron = false;
};

/// $PG_CONFIG's installation if that is set, else the newest that has the fairq extension. Throws SetupError
/// with what to do when there is none.
Installation find_installation();

struct ClusterOptions {
    bool needs_cron = true;
    bool cron_background_workers = true;
    std::map<std::string, std::string> settings; ///< further lines of postgresql.conf
};

class Cluster {
public:
    /// Makes and starts the cluster with an empty database "fairq" that has the extensions. Throws
    /// SetupError.
    explicit Cluster(const ClusterOptions &options);
    ~Cluster();
    Cluster(const Cluster &) = delete;
    Cluster &operator=(const Cluster &) = delete;

    std::string conninfo(const std::string &database = "fairq") const;
    const std::string &folder() const { return folder_; }
    pid_t server_pid() const { return server_pid_; }

    /// A fault: sends the server a signal that ends it. Safe from other threads.
    void strike(int signal);

    /// After a fault: starts the server again once it is gone; false while there is nothing to do. On the
    /// thread that made the cluster: a child ends with the thread that started it.
    bool revive();

    /// How often that was done. Safe from other threads.
    int revivals() const { return revivals_; }

    /// Stops the server and removes the folder; the destructor does so too.
    void stop();

    /// Stops the server and leaves the folder, whose name it returns.
    std::string keep();

private:
    void make_folder();
    void stop_server(int signal);
    void init(const ClusterOptions &options);
    void write_settings(const ClusterOptions &options) const;
    void launch();
    void start_server();
    void create_extensions(const ClusterOptions &options) const;
    std::string log_file() const;

    Installation installation_;
    Identity identity_;
    std::string folder_;
    Process server_;
    std::atomic<pid_t> server_pid_{0};
    std::atomic<bool> struck_{false};
    std::atomic<int> revivals_{0};
};

} // namespace fairq::driver::fault
