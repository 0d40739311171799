// Where this session's last claim has left the rows of its jobs. A session that claims jobs mostly completes
// them too, and is spared the way down the primary key to each. These are guesses: a row may have moved since,
// or its place may be another job's, so a completion checks what it finds there.
#pragma once

#include "tables/live_table.hpp"

namespace fairq::tables::claimed_rows {

// The rows of this claim, in place of those of the claim before it.
void remember(Oid table, int64 lock_token, const std::vector<ClaimedJob> &jobs);

// Where the row of a job of that claim may be; an invalid place when that is not known. The table has only
// `blocks` blocks now.
ItemPointerData find(Oid table, int64 lock_token, int64 id, BlockNumber blocks);

} // namespace fairq::tables::claimed_rows
