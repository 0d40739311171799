// Where this session's last claim has left the rows of its jobs. Who claims jobs mostly completes them too,
// and is spared the way down the primary key to each. Only guesses: a row may have moved since, or its place
// may be another job's, so whoever goes there looks what it is.
#pragma once

#include "tables/live_table.hpp"

namespace fairq::tables::claimed_rows {

// In place of those of the claim before it.
void remember(Oid table, int64 lock_token, const std::vector<ClaimedJob> &jobs);

// Of a job of that claim; an invalid one when it is not known. Blocks from `blocks` on are not there any
// more.
ItemPointerData find(Oid table, int64 lock_token, int64 id, BlockNumber blocks);

} // namespace fairq::tables::claimed_rows
