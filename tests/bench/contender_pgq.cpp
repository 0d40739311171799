// contender_pgq.cpp: PgQ: batches between ticks, acknowledged whole; no state of a single job, no retry used
// here. It has one consumer a queue, so each connection has a queue of its own.
#include <stdexcept>

#include <fmt/format.h>

#include "contender.hpp"

namespace fairq::bench {
namespace {

constexpr int kQueues = 4; // as many connections at most

std::string queue_name(std::size_t number) {
    return fmt::format("bench_{}", number % kQueues);
}

class Pgq : public Contender {
public:
    using Contender::Contender;

    void clear(Connection &connection) const override {
        connection.run("SET client_min_messages = warning; CREATE EXTENSION IF NOT EXISTS pgq");
        for (std::size_t i = 0; i < kQueues; ++i)
            connection.run(fmt::format(
                "SELECT pgq.drop_queue(queue_name, true) FROM pgq.queue WHERE queue_name = '{0}'; "
                "SELECT pgq.create_queue('{0}'); "
                "SELECT pgq.set_queue_config('{0}', 'ticker_max_count', '1'); "
                "SELECT pgq.register_consumer('{0}', 'bench')",
                queue_name(i)));
    }

    /// Each batch is what one transaction has added before one call of the ticker. A queue gets twice its
    /// portion of the jobs, because a connection that is faster than the rest works off more than that.
    void add(Connection &connection, const Jobs &jobs) const override {
        for (std::size_t i = 0; i < kQueues; ++i)
            connection.run(fmt::format(
                "DO $$ BEGIN FOR batch IN 0 .. {0} LOOP "
                "PERFORM pgq.insert_event('{1}', 'load_test', {2}::text, 'tenant-' || 1 + n % "
                "{3}, '', '', '') "
                "FROM generate_series(batch * {4}, batch * {4} + {4} - 1) AS n; COMMIT; "
                "PERFORM pgq.ticker('{1}'); COMMIT; END LOOP; END $$",
                2 * jobs.count / kQueues / kBatch, queue_name(i), kPayload, jobs.tenants, kBatch));
    }

    Batch take(Connection &connection, const Ask &ask) const override {
        static const std::string next = "SELECT pgq.next_batch($1, 'bench')";
        static const std::string events =
            "SELECT ev_id, ev_extra1, ev_type, ev_data, 1, $1 FROM pgq.get_batch_events($1::bigint)";
        const Result batch = connection.query(next, {queue_name(ask.worker)});
        if (batch.text().empty())
            throw std::runtime_error("pgq: no batch is left");
        return batch_of(connection.query(events, {batch.text()}), name);
    }

    long long finish(Connection &connection, const Batch &batch) const override {
        static const std::string statement = "SELECT pgq.finish_batch($1::bigint)";
        return connection.query(statement, {batch.lock_token}).integer() == 1
                   ? static_cast<long long>(batch.ids.size())
                   : 0;
    }

    void finish_all(Connection &connection) const override {
        connection.run(
            "SELECT pgq.finish_batch(sub_batch) FROM pgq.subscription WHERE sub_batch IS NOT NULL");
    }

    std::pair<std::string, std::vector<std::string>> claim_statement(const Ask &) const override {
        throw std::logic_error("a batch of pgq is not claimed by one statement");
    }
};

} // namespace

const Contender &pgq_queue() {
    static const Pgq queue(
        "pgq",
        "next_batch, get_batch_events, finish_batch: whole batches, one queue a connection, twice as full",
        "pgq.subscription");
    return queue;
}

} // namespace fairq::bench
