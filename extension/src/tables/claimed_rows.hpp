// Where this session's last claim has left the rows of its jobs. A session that claims jobs mostly completes them
// too, and so it need not descend the primary key for each. These places are guesses: a row may have moved since, or
// another job's row may be in its place, so a completion checks what it finds there.
#pragma once

#include "tables/live_table.hpp"

namespace fairq::tables::claimed_rows {

// Remembers the rows of this claim, and forgets those of the claim before it.
void remember(Oid table, int64 lock_token, const std::vector<ClaimedJob> &jobs);

// Where the row of a job of that claim may be; an invalid place when that is not known. blocks: how many the table
// has now, because a place in a block that has been truncated must not be read.
ItemPointerData find(Oid table, int64 lock_token, int64 id, BlockNumber blocks);

} // namespace fairq::tables::claimed_rows
