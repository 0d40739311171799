// Reading lanes (see lane_reader.hpp).
#include "tables/lane_reader.hpp"

#include "tables/lane_entry.hpp"
#include "tables/live_columns.hpp"

namespace fairq::tables {

namespace {

constexpr int kReadMore = 4; // each further read of a lane fetches four times as many entries

OffsetNumber first_of(Page page) {
    return P_FIRSTDATAKEY(BTPageGetOpaque(page));
}

// Whether the page is a leaf in use. The page that a hint names may have become something else since.
bool is_leaf(Page page) {
    if (PageIsNew(page))
        return false;
    BTPageOpaque const of = BTPageGetOpaque(page);
    return P_ISLEAF(of) && !P_IGNORE(of);
}

// Steps to the next page on the right, if there is one. Gives way to a cancel: there may be thousands of pages.
void step_right(Relation index, LaneReader::Spot &at) {
    do {
        BTPageOpaque const page = BTPageGetOpaque(BufferGetPage(at.page));
        BlockNumber const next = P_RIGHTMOST(page) ? P_NONE : page->btpo_next;
        _bt_relbuf(index, at.page);
        CHECK_FOR_INTERRUPTS();
        at.page = next == P_NONE ? InvalidBuffer : _bt_getbuf(index, next, BT_READ);
    } while (BufferIsValid(at.page) && P_IGNORE(BTPageGetOpaque(BufferGetPage(at.page))));
    at.item = BufferIsValid(at.page) ? first_of(BufferGetPage(at.page)) : InvalidOffsetNumber;
}

IndexTuple item_at(Page page, OffsetNumber item) {
    return reinterpret_cast<IndexTuple>(PageGetItem(page, PageGetItemId(page, item)));
}

// WHERE position IS NOT NULL
bool has_every_position(Relation index) {
    List *const where = RelationGetIndexPredicate(index);
    if (list_length(where) != 1 || !IsA(linitial(where), NullTest))
        return false;
    auto const *const test = linitial_node(NullTest, where);
    return test->nulltesttype == IS_NOT_NULL && IsA(test->arg, Var) &&
           reinterpret_cast<Var const *>(test->arg)->varattno == kPosition;
}

} // namespace

bool LaneReader::is_of_queue(IndexTuple tuple) const {
    char const *const queue = queue_of(tuple);
    return memcmp(queue, queue_entry_, queue_.size() + 1) == 0;
}

void LaneReader::set_queue(std::string_view queue) {
    queue_ = queue;
    queue_datum_ = pg::of(queue).datum;
    SET_VARSIZE_SHORT(queue_entry_, queue.size() + 1);
    queue.copy(queue_entry_ + 1, core::kMaxQueueBytes);
    hint_ = {};
}

bool LaneReader::reads(Relation index, Relation table) {
    constexpr Column kColumnsOfIt[kKeys] = {kQueue, kTenant, kPriority, kPosition};
    Form_pg_index const definition = index->rd_index;
    bool same = index->rd_rel->relam == BTREE_AM_OID && definition->indisvalid &&
                definition->indrelid == RelationGetRelid(table) && definition->indnatts == kKeys &&
                definition->indnkeyatts == kKeys && index->rd_indcollation[0] == C_COLLATION_OID &&
                index->rd_indcollation[1] == C_COLLATION_OID;
    for (int i = 0; same && i < kKeys; ++i)
        same = definition->indkey.values[i] == kColumnsOfIt[i] && index->rd_indoption[i] == 0;
    return same && has_every_position(index);
}

void LaneReader::open(Relation table, Relation index, Snapshot snapshot) {
    table_ = table;
    index_ = index;
    snapshot_ = snapshot;
    rows_ = table_index_fetch_begin(table);
    pages_ = RelationGetNumberOfBlocks(index);
    key_ = _bt_mkscankey(index, nullptr);
    // _bt_mkscankey() without a tuple guesses the version of the index, and takes all columns to be NULL.
    _bt_metaversion(index, &key_->heapkeyspace, &key_->allequalimage);
    for (int i = 0; i < kKeys; ++i)
        key_->scankeys[i].sk_flags &= ~SK_ISNULL;
}

void LaneReader::finish() {
    mark_dead();
    pfree(key_);
    table_index_fetch_end(rows_);
}

void LaneReader::start(std::string_view tenant, core::LaneKey from, int expected, bool dead_too,
                       core::PageHint hint) {
    Datum const name = pg::of(tenant).datum;
    pg::call([&] { mark_dead(); });
    hint_is_of_lane_ =
        hint.page != 0 || (behind_.tenant != 0 && name_of(DatumGetPointer(behind_.tenant)) == tenant);
    if (hint.page != 0)
        hint_ = hint;
    behind_ = {name, core::priority_of(from), core::position_of(from), {}};
    ItemPointerSetInvalid(&behind_.row);
    wanted_ = std::clamp(expected, 1, kMost);
    dead_too_ = dead_too;
    ended_ = skipped_ = false;
    count_ = at_ = 0;
}

std::optional<core::LaneKey> LaneReader::next() {
    if (at_ == count_) {
        if (ended_)
            return std::nullopt;
        pg::call([&] {
            mark_dead();
            read();
        });
        wanted_ = std::min(wanted_ * kReadMore, kMost);
    }
    return at_ < count_ ? std::optional(entries_[at_++].place) : std::nullopt;
}

bool LaneReader::fetch(TupleTableSlot *slot) {
    return pg::call([&] {
        ItemPointerData row = entries_[at_ - 1].row;
        bool more = false, dead = false;
        pgstat_count_heap_fetch(index_);
        bool const found = table_index_fetch_tuple(rows_, &row, snapshot_, slot, &more, &dead);
        note(dead);
        return found;
    });
}

// The same as heapam_index_fetch_tuple(), which would prune the page first.
bool LaneReader::peek(TupleTableSlot *slot) {
    return pg::call([&] {
        ItemPointerData row = entries_[at_ - 1].row;
        ExecClearTuple(slot);
        auto *const into = reinterpret_cast<BufferHeapTupleTableSlot *>(slot);
        Buffer const page = ReadBuffer(table_, ItemPointerGetBlockNumber(&row));
        LockBuffer(page, BUFFER_LOCK_SHARE);
        pgstat_count_heap_fetch(index_);
        bool dead = false;
        bool const found =
            heap_hot_search_buffer(&row, table_, page, snapshot_, &into->base.tupdata, &dead, true);
        LockBuffer(page, BUFFER_LOCK_UNLOCK);
        note(dead);
        if (found)
            ExecStorePinnedBufferHeapTuple(&into->base.tupdata, slot, page);
        else
            ReleaseBuffer(page);
        return found;
    });
}

std::optional<std::string> LaneReader::next_lane(std::string_view after) {
    Datum const bound = pg::of(after).datum;
    text *const name = pg::call([&] { return first_behind(2, bound); });
    return name == nullptr ? std::nullopt : std::optional<std::string>(pg::text_of(PointerGetDatum(name)));
}

std::optional<std::string> LaneReader::next_queue(std::string_view after) {
    Datum const bound = pg::of(after).datum;
    text *const name = pg::call([&] { return first_behind(1, bound); });
    return name == nullptr ? std::nullopt : std::optional<std::string>(pg::text_of(PointerGetDatum(name)));
}

// The rest runs inside call().

// Reads entries from the first page, from the reader's position on, that has entries of the lane.
void LaneReader::read() {
    count_ = at_ = 0;
    Spot at = find_position();
    for (; BufferIsValid(at.page); step_right(index_, at)) {
        page_ = BufferGetBlockNumber(at.page);
        page_lsn_ = BufferGetLSNAtomic(at.page);
        read_page(BufferGetPage(at.page), at.item);
        if (count_ > 0 || ended_)
            break;
    }
    if (BufferIsValid(at.page))
        _bt_relbuf(index_, at.page);
    else
        ended_ = true;
    pgstat_count_index_tuples(index_, count_);
}

LaneReader::Spot LaneReader::find_position() {
    key_->keysz = kKeys;
    key_->nextkey = false;
    key_->scankeys[0].sk_argument = queue_datum_;
    key_->scankeys[1].sk_argument = behind_.tenant;
    key_->scankeys[2].sk_argument = Int16GetDatum(behind_.priority);
    key_->scankeys[3].sk_argument = Int64GetDatum(behind_.position);
    key_->scantid = ItemPointerIsValid(&behind_.row) ? &behind_.row : nullptr;
    Spot const at = find();
    set_hint(at);
    return at;
}

void LaneReader::set_hint(Spot at) {
    if (BufferIsValid(at.page))
        hint_ = {BufferGetBlockNumber(at.page), at.item};
    hint_is_of_lane_ = true;
}

// Looks for the position on the page of the hint and on the next one, which spares the descent from the root.
// Returns no page when the position is on neither.
LaneReader::Spot LaneReader::find_at_hint() {
    Spot at{InvalidBuffer, InvalidOffsetNumber};
    if (hint_.page == 0 || hint_.page >= pages_ || (!hint_is_of_lane_ && !lanes_are_in_order_))
        return at;
    at.page = ReadBuffer(index_, hint_.page);
    LockBuffer(at.page, BT_READ);
    if (starts_at(at)) {
        pgstat_count_index_scan(index_);
        return at;
    }
    if (BufferIsValid(at.page))
        _bt_relbuf(index_, at.page);
    lanes_are_in_order_ = lanes_are_in_order_ && hint_is_of_lane_;
    return {InvalidBuffer, InvalidOffsetNumber};
}

// Whether the first item that is not less than the key is on this page or on the next one; `at` becomes its place.
// It is not further left if a smaller item stands before it on this page, or if this page is the leftmost.
bool LaneReader::starts_at(Spot &at) const {
    Page const page = BufferGetPage(at.page);
    if (!is_leaf(page))
        return false;
    at.item = first_item(page, hint_.item);
#ifndef FAIRQ_TEST_BELIEVING_PAGE_HINTS // so that the test of page hints can be seen to fail
    if (at.item == first_of(page) && !P_LEFTMOST(BTPageGetOpaque(page)))
        return false;
#endif
    if (at.item <= PageGetMaxOffsetNumber(page))
        return true;
    step_right(index_, at);
    if (BufferIsValid(at.page))
        at.item = first_item(BufferGetPage(at.page));
    return BufferIsValid(at.page) && at.item <= PageGetMaxOffsetNumber(BufferGetPage(at.page));
}

// The first item that is not less than the key; with nextkey, the first that is greater. No page when the index
// is empty.
LaneReader::Spot LaneReader::find() {
    Spot at = find_at_hint();
    if (BufferIsValid(at.page))
        return at;
    pgstat_count_index_scan(index_);
    _bt_freestack(pg::compat::bt_search(index_, table_, key_, &at.page, snapshot_));
    if (BufferIsValid(at.page))
        at.item = first_item(BufferGetPage(at.page));
    return at;
}

// The first such item of the page: searches in growing steps from the guess on, then by halves.
OffsetNumber LaneReader::first_item(Page page, int guess) const {
    int const before = key_->nextkey ? 0 : 1;
    auto const is_before = [&](int item) { return compare(page, static_cast<OffsetNumber>(item)) >= before; };
    int low = first_of(page), high = PageGetMaxOffsetNumber(page) + 1;
    for (int step = 1; low < guess && guess <= high; step *= 2) {
        if (!is_before(guess - 1)) {
            high = guess - 1;
            break;
        }
        low = guess;
        guess += step;
    }
    while (low < high) {
        int const middle = low + (high - low) / 2;
        if (is_before(middle))
            low = middle + 1;
        else
            high = middle;
    }
    return static_cast<OffsetNumber>(low);
}

// The same result as _bt_compare() for a fifth of the price: no column of a leaf's entry is NULL or truncated, and
// names are in the order of their bytes. (The server may have compressed the tenant's name in a large entry.)
int LaneReader::compare(Page page, OffsetNumber item) const {
    IndexTuple const tuple = item_at(page, item);
    if (VARATT_IS_COMPRESSED(tenant_of(tuple)))
        return _bt_compare(index_, key_, page, item);
    // Mostly all entries that are compared are of the reader's own queue.
    if (key_->keysz == 1 || !is_of_queue(tuple)) {
        int const queues =
            name_of(DatumGetPointer(key_->scankeys[0].sk_argument)).compare(name_of(queue_of(tuple)));
        if (queues != 0 || key_->keysz == 1)
            return queues;
    }
    int const names =
        name_of(DatumGetPointer(key_->scankeys[1].sk_argument)).compare(name_of(tenant_of(tuple)));
    if (names != 0)
        return names;
    if (key_->keysz == 2)
        return 0;
    std::pair<int16, int64> const sought{behind_.priority, behind_.position}, place = place_of(tuple);
    if (sought != place)
        return sought < place ? -1 : 1;
    return key_->scantid == nullptr ? 0 : _bt_compare(index_, key_, page, item);
}

void LaneReader::read_page(Page page, OffsetNumber item) {
    for (OffsetNumber const last = PageGetMaxOffsetNumber(page); item <= last && count_ < wanted_;
         item = OffsetNumberNext(item)) {
        if (ItemIdIsDead(PageGetItemId(page, item)) && !dead_too_) {
            skipped_ = true;
            continue;
        }
        IndexTuple const tuple = item_at(page, item);
        ended_ = !is_of_lane(tuple);
        if (ended_)
            return;
        add(tuple, item);
    }
}

bool LaneReader::is_of_lane(IndexTuple tuple) const {
    return is_of_queue(tuple) && name_of(DatumGetTextPP(PointerGetDatum(tenant_of(tuple)))) ==
                                     name_of(DatumGetPointer(behind_.tenant));
}

// The reader may have read a part of a posting list: then the rows up to behind_.row are left out.
void LaneReader::add(IndexTuple tuple, OffsetNumber item) {
    auto const [priority, position] = place_of(tuple);
    bool const list = BTreeTupleIsPosting(tuple);
    int const rows = list ? BTreeTupleGetNPosting(tuple) : 1;
    for (int i = 0; i < rows && count_ < wanted_; ++i) {
        ItemPointer const row = list ? BTreeTupleGetPostingN(tuple, i) : &tuple->t_tid;
        bool const same_key = priority == behind_.priority && position == behind_.position;
        if (same_key && ItemPointerIsValid(&behind_.row) && ItemPointerCompare(row, &behind_.row) <= 0)
            continue;
        entries_[count_++] = {core::lane_key(priority, position), *row, list ? OffsetNumber{} : item,
                              skipped_};
        skipped_ = false;
        behind_ = {behind_.tenant, priority, position, *row};
    }
}

// keys: 1 for the first queue behind that name, 2 for the first tenant of the reader's own queue.
text *LaneReader::first_behind(int keys, Datum name) {
    key_->keysz = keys;
    key_->nextkey = true;
    key_->scantid = nullptr;
    key_->scankeys[0].sk_argument = keys == 1 ? name : queue_datum_;
    key_->scankeys[1].sk_argument = name;
    hint_is_of_lane_ = true; // the hint is this lane's, or the lane's before it: both are usable
    Spot at = find();
    while (BufferIsValid(at.page) && at.item > PageGetMaxOffsetNumber(BufferGetPage(at.page)))
        step_right(index_, at);
    set_hint(at);
    if (!BufferIsValid(at.page))
        return nullptr;
    IndexTuple const tuple = item_at(BufferGetPage(at.page), at.item);
    text *found = nullptr;
    if (keys == 1)
        found = DatumGetTextPCopy(PointerGetDatum(queue_of(tuple)));
    else if (is_of_queue(tuple))
        found = DatumGetTextPCopy(PointerGetDatum(tenant_of(tuple)));
    _bt_relbuf(index_, at.page);
    return found;
}

void LaneReader::note(bool dead) {
    if (OffsetNumber const item = entries_[at_ - 1].item; dead && item != InvalidOffsetNumber)
        dead_items_[dead_++] = item;
}

// Marks entries as dead, so that later scans pass over them. As long as the page's LSN is the same, no item of the
// page has moved, so the items still are the ones that were read (_bt_killitems() does the same).
void LaneReader::mark_dead() {
    if (dead_ == 0)
        return;
    Buffer const buffer = _bt_getbuf(index_, page_, BT_READ);
    if (BufferGetLSNAtomic(buffer) == page_lsn_ && RelationNeedsWAL(index_)) {
        Page const page = BufferGetPage(buffer);
        for (int i = 0; i < dead_; ++i)
            ItemIdMarkDead(PageGetItemId(page, dead_items_[i]));
        BTPageGetOpaque(page)->btpo_flags |= BTP_HAS_GARBAGE;
        MarkBufferDirtyHint(buffer, true);
    }
    _bt_relbuf(index_, buffer);
    dead_ = 0;
}

} // namespace fairq::tables
