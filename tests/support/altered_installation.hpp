// altered_installation.hpp: the PostgreSQL that tests run on, with another library in the place of fairq.so.
#pragma once

#include <memory>
#include <string>

#include "test_cluster.hpp"

namespace fairq::test {

/// Links and a few copies in a folder of its own; goes with the object, and a cluster of it goes first.
class AlteredInstallation {
public:
    /// The name of a folder that `make altered` makes; throws when there is none.
    explicit AlteredInstallation(const std::string &rule_left_out);

    std::unique_ptr<driver::Cluster> make_cluster(const driver::ClusterOptions &options) const;

private:
    TemporaryFolder folder_;
    std::string pg_config_;
};

/// A cluster of the test's own: of the PostgreSQL that all tests run on, or with a rule left out.
class OwnCluster {
public:
    explicit OwnCluster(const driver::ClusterOptions &options, const std::string &rule_left_out = "");

    std::string conninfo() const { return cluster_->conninfo(); }

private:
    std::unique_ptr<AlteredInstallation> installation_; ///< null: the usual one
    std::unique_ptr<driver::Cluster> cluster_;
};

} // namespace fairq::test
