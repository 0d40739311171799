// history.cpp: see history.hpp.
#include "judge/history.hpp"

#include <algorithm>
#include <climits>
#include <set>
#include <sstream>

#include <fmt/format.h>

namespace fairq::driver::judge {

namespace {

constexpr int kNoCap = INT_MAX;

struct Cap {
    int most = kNoCap;
    Xid xid = 0;                       // of the change
    std::optional<Xid> in_force_since; // of the note that the change had returned
};

struct Locked {
    std::string key, lock_token;
    Xid xid = 0;            // of the claim
    bool uncounted = false; // its claim needed no cap
};

} // namespace

class HistoryJudge::Judge {
public:
    void has_cap(const std::string &tenant, int cap) { caps_[tenant] = {{cap, 0, 0}}; }

    void see(const Commit &commit) {
        see_caps(commit);
        tokens_before_.clear();
        for (const JobChange &change : commit.jobs)
            see(change, commit.xid);
        std::map<std::string, std::vector<std::int64_t>> claimed;
        for (const auto &[id, before] : tokens_before_)
            if (const auto place = tenants_.find(id); place != tenants_.end())
                if (locked_[place->second].at(id).lock_token != before)
                    claimed[place->second].push_back(id);
        result_.claims += claimed.empty() ? 0 : 1;
        for (const auto &[tenant, ids] : claimed)
            judge_claim(commit, tenant, ids);
        for (const std::string &key : keys_changed_)
            if (keys_[key] > 1)
                result_.double_keys.push_back(
                    fmt::format("transaction {}: {} jobs of key {} are locked", commit.xid, keys_[key], key));
        keys_changed_.clear();
    }

    Judgement result() {
        for (const auto &[id, tenant] : tenants_)
            result_.still_locked.push_back(id);
        return std::move(result_);
    }

private:
    void see_caps(const Commit &commit) {
        for (const CapChange &change : commit.caps) {
            std::vector<Cap> &caps = caps_of(change.tenant);
            if (const int most = change.cap.value_or(kNoCap); most != caps.back().most)
                caps.push_back({most, commit.xid, std::nullopt});
        }
        for (const std::string &tenant : commit.caps_in_force)
            if (Cap &last = caps_of(tenant).back(); !last.in_force_since)
                last.in_force_since = commit.xid;
    }

    std::vector<Cap> &caps_of(const std::string &tenant) {
        return caps_.try_emplace(tenant, std::vector<Cap>{{kNoCap, 0, 0}}).first->second;
    }

    void see(const JobChange &change, Xid xid) {
        if (change.is_new)
            result_.jobs.push_back(change.id);
        const auto place = tenants_.find(change.id);
        const std::string token =
            place == tenants_.end() ? "" : locked_[place->second].at(change.id).lock_token;
        tokens_before_.try_emplace(change.id, token);
        if (token == change.lock_token)
            return; // as before; a claim that was put back and made again has another token
        if (!token.empty() && !change.lock_token.empty())
            result_.double_claims.push_back(
                fmt::format("transaction {} locked job {}, which was locked", xid, change.id));
        if (!token.empty())
            unlock(change.id, place->second);
        if (!change.lock_token.empty())
            lock(change, xid);
    }

    void lock(const JobChange &change, Xid xid) {
        locked_[change.tenant][change.id] = {change.key, change.lock_token, xid, false};
        tenants_[change.id] = change.tenant;
        count_key(change.tenant, change.key, 1);
    }

    void unlock(std::int64_t id, const std::string &tenant) {
        std::map<std::int64_t, Locked> &locked = locked_[tenant];
        count_key(tenant, locked.at(id).key, -1);
        locked.erase(id);
        tenants_.erase(id);
    }

    void count_key(const std::string &tenant, const std::string &key, int by) {
        if (key.empty())
            return;
        keys_[tenant + "/" + key] += by;
        keys_changed_.insert(tenant + "/" + key);
    }

    void judge_claim(const Commit &commit, const std::string &tenant, const std::vector<std::int64_t> &ids) {
        bool choice = false;
        const int most = most_allowed(commit, tenant, choice);
        std::map<std::int64_t, Locked> &locked = locked_[tenant];
        if (most == kNoCap) {
            for (const std::int64_t id : ids)
                locked.at(id).uncounted = true;
            return;
        }
        const auto counts = [&](const auto &job) {
            return !job.second.uncounted || !commit.call_began || commit.call_began->sees(job.second.xid);
        };
        const auto count = static_cast<int>(std::count_if(locked.begin(), locked.end(), counts));
        ++result_.of_capped_tenants;
        result_.with_choice += choice ? 1 : 0;
        result_.to_the_brim += count == most ? 1 : 0;
        result_.spared += static_cast<std::size_t>(count) < locked.size() ? 1 : 0;
        if (count > most)
            result_.over_cap.push_back(
                fmt::format("transaction {} brought tenant {} to {} locked jobs, its cap is {}", commit.xid,
                            tenant, count, most));
    }

    /// The largest cap that the claim may have gone by.
    int most_allowed(const Commit &commit, const std::string &tenant, bool &choice) {
        const std::vector<Cap> &caps = caps_of(tenant);
        const auto in_force = [&](const Cap &cap) {
            return cap.in_force_since && (!commit.call_began || commit.call_began->sees(*cap.in_force_since));
        };
        auto cap = std::find_if(caps.rbegin(), caps.rend(), in_force).base() - 1;
        int most = cap->most;
        while (++cap != caps.end())
            if (!commit.call_ended || commit.call_ended->sees(cap->xid)) {
                choice = true;
                most = std::max(most, cap->most);
            }
        return most;
    }

    Judgement result_;
    std::map<std::string, std::vector<Cap>> caps_;
    std::map<std::string, std::map<std::int64_t, Locked>> locked_; // by tenant
    std::map<std::int64_t, std::string> tenants_;                  // of locked jobs
    std::map<std::string, int> keys_;                              // locked jobs of each
    std::set<std::string> keys_changed_;                           // by this commit
    std::map<std::int64_t, std::string> tokens_before_;            // of the jobs that this commit changed
};

HistoryJudge::HistoryJudge() : judge_(std::make_unique<Judge>()) {}

HistoryJudge::~HistoryJudge() = default;

void HistoryJudge::has_cap(const std::string &tenant, int cap) {
    judge_->has_cap(tenant, cap);
}

void HistoryJudge::see(const Commit &commit) {
    judge_->see(commit);
}

Judgement HistoryJudge::result() {
    return judge_->result();
}

Judgement judge_history(const std::vector<Commit> &history) {
    HistoryJudge judge;
    for (const Commit &commit : history)
        judge.see(commit);
    return judge.result();
}

Snapshot::Snapshot(const std::string &text) {
    std::istringstream parts(text); // xmin:xmax:xip,xip...
    Xid oldest = 0;
    char separator = 0;
    parts >> oldest >> separator >> end_ >> separator;
    for (Xid xid = 0; parts >> xid; parts >> separator)
        in_progress_.push_back(xid);
    std::sort(in_progress_.begin(), in_progress_.end());
}

bool Snapshot::sees(Xid xid) const {
    return xid < end_ && !std::binary_search(in_progress_.begin(), in_progress_.end(), xid);
}

} // namespace fairq::driver::judge
