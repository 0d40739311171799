// The claim: walk, share, take. One call gives up to max_jobs jobs, shared fairly between the tenants that
// have claimable work, at a cost that depends on max_jobs alone. What limits a tenant comes between sharing
// and taking.
#include "queue/limits.hpp"
#include "queue/statements.hpp"

namespace fairq::queue {

namespace {

constexpr int64 kSweepInterval = core::kSecond;

// The circular walk over the lanes: first those behind the starting point, then those up to it, each once, up
// to a bound.
class Walk {
public:
    Walk(pg::LiveTable &table, std::string start, int most)
        : table_(table), start_(std::move(start)), at_(start_), left_(most) {}

    std::optional<std::string> next() {
        if (ended_ || left_-- <= 0)
            return std::nullopt;
        std::optional<std::string> lane = table_.next_lane(at_);
        if (!lane && !wrapped_) {
            wrapped_ = true;
            lane = table_.next_lane("");
        }
        ended_ = !lane || (wrapped_ && *lane > start_);
        if (ended_)
            return std::nullopt;
        at_ = *lane;
        return lane;
    }
    bool saw_all() const { return ended_; }
    const std::string &position() const { return at_; }

private:
    pg::LiveTable &table_;
    std::string start_, at_;
    int left_;
    bool wrapped_ = false, ended_ = false;
};

// Where this queue's last claim stopped: what shared memory remembers, else what this session does, else
// anywhere.
class Rotation {
public:
    explicit Rotation(Oid queue) : queue_(queue) {}

    std::string start(pg::LiveTable &table) const {
        if (std::optional<std::string> shared = pg::shared_state::rotation(queue_))
            return *shared;
        if (own_queue == queue_ && own_length >= 0)
            return std::string(own_tenant, static_cast<size_t>(own_length));
        std::optional<std::string> const first = table.next_lane(""), last = table.last_lane();
        return first && last ? core::between(*first, *last, pg::random_bits()) : std::string();
    }

    void stop(const std::string &tenant) const {
        pg::shared_state::set_rotation(queue_, tenant);
        own_queue = queue_;
        own_length = static_cast<int>(tenant.copy(own_tenant, sizeof own_tenant));
    }

private:
    Oid queue_;
    inline static Oid own_queue = InvalidOid;
    inline static int own_length = -1;
    inline static char own_tenant[core::kMaxNameBytes + 1] = "";
};

// Divides one claim over the lanes of the walk: asks every lane for its part, and what some cannot give is
// divided again over the others and over lanes further on, until the claim is full or nobody has more.
class Division {
public:
    Division(const ClaimRequest &request, pg::LiveTable &table, Walk &walk, Claim &claim)
        : request_(request), table_(table), walk_(walk), claim_(claim) {}

    void run() {
        while (static_cast<int>(claim_.jobs.size()) < request_.max_jobs) {
            discover();
            std::vector<int> const parts =
                core::max_min_shares(demands_, request_.max_jobs, request_.tenant_cap);
            if (!ask(parts))
                break;
        }
    }

    const std::string &stopped_at() const {
        return walk_.saw_all() && !taken_.empty() ? claim_.lanes[core::rotation_point(taken_)]
                                                  : walk_.position();
    }

private:
    // No more lanes than jobs can get one: those that may still give.
    void discover() {
        auto giving = std::count(demands_.begin(), demands_.end(), core::kUnknown);
        while (giving < request_.max_jobs) {
            std::optional<std::string> lane = walk_.next();
            if (!lane)
                return;
            claim_.lanes.push_back(*std::move(lane));
            demands_.push_back(core::kUnknown);
            taken_.push_back(0);
            ++giving;
        }
    }

    // Takes what is missing to each lane's part; false when no lane had a part to take.
    bool ask(const std::vector<int> &parts) {
        bool asked = false;
        for (size_t lane = 0; lane < parts.size(); ++lane) {
            int const wanted = parts[lane] - taken_[lane];
            if (wanted <= 0)
                continue;
            asked = true;
            int const got = table_.take(claim_.lanes[lane], static_cast<int>(lane), wanted, claim_.jobs);
            taken_[lane] += got;
            if (got < wanted)
                demands_[lane] = taken_[lane];
        }
        return asked;
    }

    const ClaimRequest &request_;
    pg::LiveTable &table_;
    Walk &walk_;
    Claim &claim_;
    std::vector<int> demands_, taken_;
};

// Rides on every claim, so that external workers alone need no ticker.
void keep_house(int max_jobs) {
    promote(max_jobs);
    if (pg::shared_state::sweep_is_due(pg::live_table_oid(pg::schema()), pg::now(), kSweepInterval))
        sweep(pg::settings::lease_timeout());
}

Ids ids_of(const Claim &claim) {
    Ids ids(claim.jobs.size());
    std::transform(claim.jobs.begin(), claim.jobs.end(), ids.begin(), [](const auto &job) { return job.id; });
    std::sort(ids.begin(), ids.end());
    return ids;
}

// The slow way to the same result: the rows are locked, the executor updates them, with all that hangs on the
// table. A trigger that keeps a row from being updated keeps its job from being claimed.
void update_by_executor(const ClaimRequest &request, const pg::ClaimMark &mark, Claim &claim) {
    pg::Rows const rows = pg::execute(sql::kClaimByExecutor, {pg::of(ids_of(claim)), pg::of(mark.worker),
                                                              pg::of_time(mark.at), pg::of(mark.lock_token)});
    Ids updated(rows.size());
    for (size_t row = 0; row < rows.size(); ++row) {
        updated[row] = rows.int64_at(row, 1);
        if (request.rows)
            rows.put(row, request.rows);
    }
    std::sort(updated.begin(), updated.end());
    auto const refused = [&](const auto &job) {
        return !std::binary_search(updated.begin(), updated.end(), job.id);
    };
    claim.jobs.erase(std::remove_if(claim.jobs.begin(), claim.jobs.end(), refused), claim.jobs.end());
}

void record(const pg::ClaimMark &mark, const Claim &claim) {
    if (claim.jobs.empty())
        return;
    pg::execute(sql::kInsertLease,
                {pg::of(mark.lock_token), pg::of(mark.worker), pg::of_time(mark.at), pg::of(ids_of(claim))});
    pending_claimed(claim);
    auto const load_test =
        std::count_if(claim.jobs.begin(), claim.jobs.end(), [](auto &job) { return job.load_test; });
    count_move(JobStatus::queued, JobStatus::locked, static_cast<int64>(claim.jobs.size()), load_test);
}

} // namespace

Claim claim(const ClaimRequest &request) {
    if (IsolationUsesXactSnapshot())
        pg::raise_isolation_level();
    keep_house(request.max_jobs);
    pg::ClaimMark const mark{request.worker, pg::random_token(), pg::now()};
    Claim claim;
    claim.lock_token = mark.lock_token;
    pg::LiveTable table(pg::schema(), mark, request.types, request.rows);
    Rotation const rotation(pg::live_table_oid(pg::schema()));
    Walk walk(table, rotation.start(table), core::kLanesPerJob * request.max_jobs);
    Division division(request, table, walk, claim);
    division.run();
    rotation.stop(division.stopped_at());
    bool const updated = table.direct();
    table.finish();
    pg::with_spi([&] {
        if (!updated && !claim.jobs.empty())
            update_by_executor(request, mark, claim);
        record(mark, claim);
    });
    return claim;
}

int64 promote(int max_jobs) {
    return pg::with_spi([&] {
        return count_moves(pg::execute(sql::kPromote, {pg::of_time(pg::now()), pg::of(int32{max_jobs})}),
                           JobStatus::queued);
    });
}

} // namespace fairq::queue
