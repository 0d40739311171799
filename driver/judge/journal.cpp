// journal.cpp: see journal.hpp.
#include "judge/journal.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>

#include <fcntl.h>
#include <unistd.h>

#include <fmt/format.h>

#include "errors.hpp"

namespace fairq::driver::judge {
namespace {

constexpr int kNumberBits = 40; // a sender's jobs: a million million
constexpr std::size_t kPartEntries = 1'000'000;
constexpr std::size_t kBufferEntries = 4096;

[[noreturn]] void fail(const char *what) {
    throw SetupError(
        fmt::format("cannot {} the journal of the run in the temporary folder: {}; TMPDIR names another one",
                    what, std::strerror(errno)));
}

std::FILE *unnamed_file() {
    const char *folder = std::getenv("TMPDIR");
    std::string path =
        fmt::format("{}/fairq-journal-XXXXXX", folder != nullptr && *folder != '\0' ? folder : "/tmp");
    const int descriptor = mkostemp(path.data(), O_CLOEXEC);
    if (descriptor < 0)
        fail("make");
    unlink(path.c_str());
    return fdopen(descriptor, "w+b");
}

bool lower_id(const JournalEntry &a, const JournalEntry &b) {
    return a.id < b.id;
}

} // namespace

std::uint64_t job_number(std::uint32_t sender, std::uint64_t n) {
    return std::uint64_t{sender} << kNumberBits | n;
}

std::string job_key(const std::string &run_id, std::uint64_t number) {
    return fmt::format("{}-{}-{}", run_id, number >> kNumberBits,
                       number & ((std::uint64_t{1} << kNumberBits) - 1));
}

std::uint64_t parse_job_key(const std::string &run_id, const std::string &key) {
    if (key.compare(0, run_id.size() + 1, run_id + "-") != 0)
        return 0;
    std::uint32_t sender = 0;
    std::uint64_t n = 0;
    const char *const end = key.data() + key.size();
    const auto first = std::from_chars(key.data() + run_id.size() + 1, end, sender);
    if (first.ec != std::errc{} || first.ptr == end || *first.ptr != '-')
        return 0;
    const auto second = std::from_chars(first.ptr + 1, end, n);
    return second.ec == std::errc{} && second.ptr == end ? job_number(sender, n) : 0;
}

JournalFile::JournalFile() : file_(unnamed_file()) {
    if (!file_)
        fail("make");
}

void JournalFile::append(const JournalEntry *entries, std::size_t count) {
    if (std::fseek(file_.get(), 0, SEEK_END) != 0 ||
        std::fwrite(entries, sizeof *entries, count, file_.get()) != count || std::fflush(file_.get()) != 0)
        fail("write");
    size_ += count;
}

std::size_t JournalFile::read(std::uint64_t at, JournalEntry *entries, std::size_t count) const {
    count = std::min<std::uint64_t>(count, size_ - std::min(at, size_));
    char *const bytes = reinterpret_cast<char *>(entries);
    for (std::size_t done = 0, all = count * sizeof *entries; done < all;) {
        const ssize_t got = pread(fileno(file_.get()), bytes + done, all - done,
                                  static_cast<off_t>(at * sizeof *entries + done));
        if (got <= 0 && errno != EINTR)
            fail("read");
        done += static_cast<std::size_t>(std::max<ssize_t>(got, 0));
    }
    return count;
}

void JournalFile::clear() {
    if (ftruncate(fileno(file_.get()), 0) != 0)
        fail("clear");
    size_ = 0;
}

void SortedEntries::add_part(std::vector<JournalEntry> &entries) {
    std::sort(entries.begin(), entries.end(), lower_id);
    parts_.push_back({file_.size(), file_.size() + entries.size(), {}, 0});
    file_.append(entries.data(), entries.size());
    entries.clear();
}

const JournalEntry *SortedEntries::front(Part &part) {
    if (part.place == part.buffer.size()) {
        part.buffer.resize(std::min<std::uint64_t>(kBufferEntries, part.end - part.next));
        part.next += file_.read(part.next, part.buffer.data(), part.buffer.size());
        part.place = 0;
    }
    return part.buffer.empty() ? nullptr : &part.buffer[part.place];
}

const JournalEntry *SortedEntries::next() {
    Part *first = nullptr;
    for (Part &part : parts_)
        if (front(part) != nullptr && (first == nullptr || lower_id(*front(part), *front(*first))))
            first = &part;
    if (first == nullptr)
        return nullptr;
    current_ = *front(*first);
    ++first->place;
    return &current_;
}

void Journal::append(const std::vector<JournalEntry> &entries) {
    const std::lock_guard<std::mutex> lock(mutex_);
    file_.append(entries.data(), entries.size());
    long long *const counters[] = {&counts_.invoked, &counts_.acknowledged, &counts_.failed,
                                   &counts_.unknown, &counts_.completed,    &counts_.completion_unknown};
    for (const JournalEntry &entry : entries)
        ++*counters[static_cast<std::size_t>(entry.event)];
}

void Journal::count_invoked(long long jobs) {
    const std::lock_guard<std::mutex> lock(mutex_);
    counts_.invoked += jobs;
}

void Journal::clear() {
    const std::lock_guard<std::mutex> lock(mutex_);
    file_.clear();
    counts_ = {};
}

std::uint32_t Journal::tenant_index(const std::string &tenant) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto [place, added] =
        tenant_indexes_.try_emplace(tenant, static_cast<std::uint32_t>(tenants_.size()));
    if (added)
        tenants_.push_back(tenant);
    return place->second;
}

std::string Journal::tenant(std::uint32_t index) const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return tenants_.at(index);
}

JournalCounts Journal::counts() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return counts_;
}

std::vector<std::uint64_t> Journal::unknown_numbers() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    std::vector<std::uint64_t> numbers;
    std::vector<JournalEntry> buffer(kBufferEntries);
    for (std::uint64_t at = 0; counts_.unknown > 0 && at < file_.size();) {
        const std::size_t count = file_.read(at, buffer.data(), buffer.size());
        for (std::size_t i = 0; i < count; ++i)
            if (buffer[i].event == Event::unknown)
                numbers.push_back(buffer[i].number);
        at += count;
    }
    std::sort(numbers.begin(), numbers.end());
    return numbers;
}

SortedEntries Journal::by_id(Event event, Event or_event) const {
    const std::lock_guard<std::mutex> lock(mutex_);
    SortedEntries jobs;
    std::vector<JournalEntry> buffer(kBufferEntries), part;
    part.reserve(std::min<std::uint64_t>(kPartEntries + kBufferEntries, file_.size()));
    for (std::uint64_t at = 0; at < file_.size();) {
        const std::size_t count = file_.read(at, buffer.data(), buffer.size());
        std::copy_if(
            buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(count), std::back_inserter(part),
            [&](const JournalEntry &entry) { return entry.event == event || entry.event == or_event; });
        at += count;
        if (part.size() >= kPartEntries)
            jobs.add_part(part);
    }
    jobs.add_part(part);
    return jobs;
}

} // namespace fairq::driver::judge
