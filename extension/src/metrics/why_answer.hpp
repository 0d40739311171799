// An answer of why_not_running, as JSON.
#pragma once

#include "pg/spi.hpp"
#include "pg/values.hpp"

namespace fairq::metrics {

constexpr int64 kMostCounted = 10000; // jobs: the statements of why.cpp count one more

// Every answer has the same keys first, and the figures of its reason behind them.
class Answer {
public:
    Answer(int64 job, std::string_view status, const char *reason, const std::string &message,
           const char *change, std::optional<TimestampTz> until = std::nullopt) {
        add("job_id", std::to_string(job));
        with("status", status);
        with("reason", std::string_view(reason));
        with("message", std::string_view(message));
        with("until", until);
        with("change", std::string_view(change));
    }

    template <class T>
    Answer &with(const char *key, const std::optional<T> &value) {
        if (value)
            return with(key, *value);
        add(key, "null");
        return *this;
    }
    Answer &with(const char *key, std::string_view text) { return add(key, pg::json_string(text)); }
    Answer &with(const char *key, const std::string &text) { return with(key, std::string_view(text)); }
    Answer &with(const char *key, TimestampTz time) { return add(key, pg::json_time(time)); }
    Answer &with(const char *key, bool value) { return add(key, value ? "true" : "false"); }
    Answer &number(const char *key, int64 value) { return add(key, std::to_string(value)); }
    Answer &number(const char *key, std::optional<int64> value) {
        return add(key, value ? std::to_string(*value) : "null");
    }
    // A number of jobs that was counted up to a bound.
    Answer &counted(const char *key, int64 jobs, bool exact) {
        return number(key, std::min(jobs, kMostCounted)).with("exact", exact);
    }

    std::string json() const { return "{" + json_ + "}"; }

private:
    Answer &add(const char *key, const std::string &value) {
        json_ += (json_.empty() ? "\"" : ", \"") + std::string(key) + "\": " + value;
        return *this;
    }

    std::string json_;
};

inline std::string at(TimestampTz time) {
    std::string const json = pg::json_time(time);
    return json.substr(1, json.size() - 2);
}
inline std::optional<std::string> text_or_none(const pg::Rows &rows, int column) {
    return rows.is_null(0, column) ? std::nullopt : std::optional(rows.text_at(0, column));
}
inline bool is_visible(const std::string &tenant, const std::vector<std::string> *only_tenants) {
    return only_tenants == nullptr || std::binary_search(only_tenants->begin(), only_tenants->end(), tenant);
}

// The answer for a job that is in the history, or in job_archive if the extension has such a table. None: it is in
// neither, or its tenant is not one of these (null: any tenant).
std::optional<std::string> explain_finished_job(int64 id, const std::vector<std::string> *only_tenants);

} // namespace fairq::metrics
