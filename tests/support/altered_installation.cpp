// altered_installation.cpp: see altered_installation.hpp. A server finds its libraries and other files from
// the place of its own program, so a copy of the program elsewhere has libraries of its own.
#include "altered_installation.hpp"

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>

namespace fairq::test {

namespace fs = std::filesystem;
using namespace fairq::driver;

namespace {

std::string folder_of(const std::string &pg_config, const std::string &option) {
    FILE *pipe = popen(("'" + pg_config + "' " + option).c_str(), "r");
    if (pipe == nullptr)
        throw std::runtime_error("cannot run " + pg_config);
    std::array<char, 4096> buffer{};
    const bool read = std::fgets(buffer.data(), static_cast<int>(buffer.size()), pipe) != nullptr;
    if (pclose(pipe) != 0 || !read)
        throw std::runtime_error(pg_config + " does not know " + option);
    const std::string line = buffer.data();
    return line.substr(0, line.find('\n'));
}

} // namespace

AlteredInstallation::AlteredInstallation(const std::string &rule_left_out) {
    const std::string library = FAIRQ_ALTERED_LIBRARIES "/" + rule_left_out + "/fairq.so";
    if (!fs::exists(library))
        throw std::runtime_error("there is no " + library + ": make altered");
    const std::string original = find_installation().bin_folder + "/pg_config";
    const std::string programs = folder_of(original, "--bindir"),
                      libraries = folder_of(original, "--pkglibdir"),
                      shared = folder_of(original, "--sharedir");
    const std::string &root = folder_.path();
    fs::create_directories(root + programs);
    for (const char *program : {"/postgres", "/initdb", "/pg_config"})
        fs::copy_file(programs + program, root + programs + program);
    fs::create_directories(root + libraries);
    for (const auto &entry : fs::directory_iterator(libraries))
        if (entry.path().filename() != "fairq.so")
            fs::create_symlink(entry.path(), fs::path(root + libraries) / entry.path().filename());
    // A copy: the server's user may be unable to enter the folder that the library is built in.
    fs::copy_file(library, root + libraries + "/fairq.so");
    fs::create_directories(fs::path(root + shared).parent_path());
    fs::create_directory_symlink(shared, root + shared);
    pg_config_ = root + programs + "/pg_config";
}

std::unique_ptr<Cluster> AlteredInstallation::make_cluster(const ClusterOptions &options) const {
    const char *const before = std::getenv("PG_CONFIG");
    const std::string saved = before != nullptr ? before : "";
    setenv("PG_CONFIG", pg_config_.c_str(), 1);
    auto cluster = std::make_unique<Cluster>(options);
    saved.empty() ? unsetenv("PG_CONFIG") : setenv("PG_CONFIG", saved.c_str(), 1);
    return cluster;
}

OwnCluster::OwnCluster(const ClusterOptions &options, const std::string &rule_left_out)
    : installation_(rule_left_out.empty() ? nullptr : std::make_unique<AlteredInstallation>(rule_left_out)),
      cluster_(installation_ ? installation_->make_cluster(options) : std::make_unique<Cluster>(options)) {}

} // namespace fairq::test
