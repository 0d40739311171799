// // journal.hpp: what the driver did, job by job, in a file that only grows: an enqueue was invoked, then
// acknowledged, failed, or got no answer; a worker's completion was accepted, or got no answer. 24 bytes an
// entry, on disk, so that five million jobs cost no memory. The file has no name: it goes with the process,
// however that ends.
#pragma once

#include <cstdint>
#include <cstdio>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace fairq::driver::judge {

enum class Event : std::uint32_t {
    invoked,
    acknowledged,
    failed,
    unknown,
    completed,         ///< a worker's completion was accepted
    completion_unknown ///< it got no answer
};

struct JournalEntry {
    std::int64_t id = 0;      ///< the job's, once acknowledged
    std::uint64_t number = 0; ///< which enqueue of the run: see job_number(); 0 for jobs that SQL seeded
    std::uint32_t tenant = 0; ///< Journal::tenant_index()
    Event event = Event::invoked;
};
static_assert(sizeof(JournalEntry) == 24);

/// The n-th job of a sender: both count from 1.
std::uint64_t job_number(std::uint32_t sender, std::uint64_t n);

/// The idempotency key of a job: it names the run, the sender and the job.
std::string job_key(const std::string &run_id, std::uint64_t number);

/// The number in a key of this run, 0 when it is none.
std::uint64_t parse_job_key(const std::string &run_id, const std::string &key);

/// A file without a name in $TMPDIR. Throws SetupError when it cannot be made or written.
class JournalFile {
public:
    JournalFile();

    void append(const JournalEntry *entries, std::size_t count);

    /// Reads up to `count` entries from place `at`; returns how many there were.
    std::size_t read(std::uint64_t at, JournalEntry *entries, std::size_t count) const;

    std::uint64_t size() const { return size_; }
    void clear();

private:
    struct Closer {
        void operator()(std::FILE *file) const { std::fclose(file); }
    };
    std::unique_ptr<std::FILE, Closer> file_;
    std::uint64_t size_ = 0; ///< in entries
};

/// Some entries of a journal by id, read one after the other. The smallest memory that does:
/// sorted parts are written to a file of their own, and merged.
class SortedEntries {
public:
    /// Null at the end.
    const JournalEntry *next();

private:
    friend class Journal;
    struct Part {
        std::uint64_t next = 0, end = 0;
        std::vector<JournalEntry> buffer;
        std::size_t place = 0;
    };
    void add_part(std::vector<JournalEntry> &entries);
    const JournalEntry *front(Part &part);

    JournalFile file_;
    std::vector<Part> parts_;
    JournalEntry current_;
};

struct JournalCounts {
    long long invoked = 0, acknowledged = 0, failed = 0, unknown = 0, completed = 0, completion_unknown = 0;
};

/// Safe from several threads.
class Journal {
public:
    void append(const std::vector<JournalEntry> &entries);

    /// Jobs that one statement makes: they have no number of their own.
    void count_invoked(long long jobs);

    void clear();

    std::uint32_t tenant_index(const std::string &tenant);
    std::string tenant(std::uint32_t index) const;

    JournalCounts counts() const;

    /// Enqueues without an answer, sorted.
    std::vector<std::uint64_t> unknown_numbers() const;

    /// The entries with one of these two events.
    SortedEntries by_id(Event event, Event or_event) const;

private:
    mutable std::mutex mutex_; // of all that follows
    JournalFile file_;
    JournalCounts counts_;
    std::map<std::string, std::uint32_t> tenant_indexes_;
    std::vector<std::string> tenants_;
};

} // namespace fairq::driver::judge
