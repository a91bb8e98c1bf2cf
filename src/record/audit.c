/* Writing the chain, and reading it. */
#include "record/record_int.h"

#include <sodium.h>

static void hash_u64(crypto_hash_sha256_state *state, uint64_t value)
{
    uint8_t bytes[8];
    for (int i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
    crypto_hash_sha256_update(state, bytes, sizeof(bytes));
}

/* The length before each text: otherwise "ab" + "c" and "a" + "bc" would be one and the same.  None
 * is not empty. */
static void hash_text(crypto_hash_sha256_state *state, struct str text)
{
    if (text.at == NULL) {
        hash_u64(state, UINT64_MAX);
        return;
    }
    hash_u64(state, text.len);
    crypto_hash_sha256_update(state, (const unsigned char *)text.at, text.len);
}

void record_hash(uint64_t audit_id, const struct record_entry *entry,
                 const uint8_t prev[RECORD_HASH_BYTES], uint8_t ret_hash[RECORD_HASH_BYTES])
{
    crypto_hash_sha256_state state;
    crypto_hash_sha256_init(&state);
    hash_text(&state, STR("automat audit 1"));
    hash_u64(&state, audit_id);
    hash_u64(&state, (uint64_t)entry->at_ms);
    hash_text(&state, entry->actor);
    hash_text(&state, entry->action);
    hash_text(&state, entry->subject);
    hash_text(&state, entry->detail);
    hash_text(&state, entry->request_id);
    crypto_hash_sha256_update(&state, prev, RECORD_HASH_BYTES);
    crypto_hash_sha256_final(&state, ret_hash);
}

static bool text_fits(struct str text, size_t bytes_max)
{
    return text.len <= bytes_max && utf8_valid(text) && str_find(text, '\0') == text.len;
}

/* The end of the chain; ERR_NOT_FOUND when somebody removed it.  It is read from the table each
 * time: a savepoint may have taken the last entry back. */
static enum err head_get(struct store_db *db, uint64_t *ret_entries,
                         uint8_t ret_hash[RECORD_HASH_BYTES])
{
    struct store_stmt *stmt = store_prepare(db, &record_statements, STMT_HEAD);
    enum err err = store_row(stmt);
    if (err != ERR_OK)
        return err;
    struct str hash = store_col_blob(stmt, 1);
    if (hash.len != RECORD_HASH_BYTES)
        return ERR_NOT_FOUND;
    *ret_entries = (uint64_t)store_col_i64(stmt, 0);
    base_copy(ret_hash, hash.at, RECORD_HASH_BYTES);
    return ERR_OK;
}

static enum err head_set(struct store_db *db, uint64_t entries,
                         const uint8_t hash[RECORD_HASH_BYTES])
{
    int64_t changes = 0;
    struct store_stmt *stmt = store_prepare(db, &record_statements, STMT_HEAD_SET);
    store_bind_i64(stmt, 1, (int64_t)entries);
    store_bind_blob(stmt, 2, hash, RECORD_HASH_BYTES);
    enum err err = store_exec(db, stmt, &changes);
    return err == ERR_OK && changes != 1 ? ERR_IO : err;
}

static struct str or_empty(struct str text)
{
    return text.at == NULL ? STR("") : text;
}

enum err record_audit(struct store_db *db, const struct record_entry *given)
{
    struct record_entry entry = *given;
    uint8_t prev[RECORD_HASH_BYTES];
    uint8_t hash[RECORD_HASH_BYTES];
    uint64_t entries = 0;
    entry.actor = or_empty(entry.actor); /* as the columns will say, and as verify will read them */
    entry.action = or_empty(entry.action);
    entry.subject = or_empty(entry.subject);
    if (!text_fits(entry.actor, RECORD_NAME_BYTES_MAX) ||
        !text_fits(entry.action, RECORD_NAME_BYTES_MAX) ||
        !text_fits(entry.subject, RECORD_NAME_BYTES_MAX) ||
        !text_fits(entry.request_id, RECORD_NAME_BYTES_MAX) ||
        !text_fits(entry.detail, RECORD_DETAIL_BYTES_MAX))
        return ERR_INPUT;
    enum err err = head_get(db, &entries, prev);
    if (err != ERR_OK)
        return err == ERR_NOT_FOUND ? ERR_IO : err; /* nothing goes unrecorded */
    entries++;
    record_hash(entries, &entry, prev, hash);
    struct store_stmt *stmt = store_prepare(db, &record_statements, STMT_AUDIT_ADD);
    store_bind_i64(stmt, 1, (int64_t)entries);
    store_bind_i64(stmt, 2, entry.at_ms);
    store_bind_text(stmt, 3, entry.actor);
    store_bind_text(stmt, 4, entry.action);
    store_bind_text(stmt, 5, entry.subject);
    store_bind_text(stmt, 6, entry.detail);
    store_bind_text(stmt, 7, entry.request_id);
    store_bind_blob(stmt, 8, prev, sizeof(prev));
    store_bind_blob(stmt, 9, hash, sizeof(hash));
    err = store_exec(db, stmt, NULL);
    return err == ERR_OK ? head_set(db, entries, hash) : err;
}

/* ---- list ---- */

static enum err row_copy(struct store_stmt *stmt, struct arena *scratch, struct record_row *row)
{
    row->audit_id = (uint64_t)store_col_i64(stmt, 0);
    row->entry.at_ms = store_col_i64(stmt, 1);
    struct str hash = store_col_blob(stmt, 8);
    if (hash.len == RECORD_HASH_BYTES)
        base_copy(row->hash, hash.at, RECORD_HASH_BYTES);
    struct str *texts[] = {&row->entry.actor, &row->entry.action, &row->entry.subject,
                           &row->entry.detail, &row->entry.request_id};
    for (int i = 0; i < (int)ARRAY_COUNT(texts); i++) {
        enum err err = record_text_copy(scratch, stmt, 2 + i, texts[i]);
        if (err != ERR_OK)
            return err;
    }
    return ERR_OK;
}

enum err record_audit_list(struct store_db *db, uint64_t before_id, uint32_t limit,
                           struct str actor, struct str subject, struct arena *scratch,
                           struct record_row **ret_rows, size_t *ret_count)
{
    int which = STMT_AUDIT_LIST;
    if (actor.len > 0)
        which = subject.len > 0 ? STMT_AUDIT_LIST_BOTH : STMT_AUDIT_LIST_ACTOR;
    else if (subject.len > 0)
        which = STMT_AUDIT_LIST_SUBJECT;
    limit = record_limit(limit);
    struct record_row *rows = arena_alloc(scratch, limit * sizeof(*rows));
    if (rows == NULL)
        return ERR_NOMEM;
    struct store_stmt *stmt = store_prepare(db, &record_statements, which);
    store_bind_i64(stmt, 1, record_before(before_id));
    store_bind_i64(stmt, 2, limit);
    if (actor.len > 0)
        store_bind_text(stmt, 3, actor);
    if (subject.len > 0)
        store_bind_text(stmt, 4, subject);
    size_t count = 0;
    enum err err = ERR_OK;
    while (count < limit && (err = store_row(stmt)) == ERR_OK) {
        err = row_copy(stmt, scratch, &rows[count++]);
        if (err != ERR_OK)
            return err;
    }
    if (err != ERR_OK && err != ERR_NOT_FOUND)
        return err;
    *ret_rows = rows;
    *ret_count = count;
    return ERR_OK;
}

/* ---- verify ---- */

static void broken(struct record_walk *walk, uint64_t audit_id, const char *why)
{
    walk->broken_id = audit_id;
    walk->why = why;
    walk->finished = true;
}

/* One row against what must come next.  Texts are those of the statement: nothing is kept. */
static void walk_row(struct record_walk *walk, struct store_stmt *stmt)
{
    uint64_t audit_id = (uint64_t)store_col_i64(stmt, 0);
    struct record_entry entry = {
        .at_ms = store_col_i64(stmt, 1),
        .actor = store_col_text(stmt, 2),
        .action = store_col_text(stmt, 3),
        .subject = store_col_text(stmt, 4),
        .detail = store_col_text(stmt, 5),
        .request_id = store_col_text(stmt, 6),
    };
    struct str prev = store_col_blob(stmt, 7);
    struct str hash = store_col_blob(stmt, 8);
    uint8_t expected[RECORD_HASH_BYTES];
    if (audit_id != walk->next_id) {
        broken(walk, walk->next_id, "this entry is missing");
        return;
    }
    record_hash(audit_id, &entry, walk->hash, expected);
    if (!str_equal(hash, (struct str){(const char *)expected, sizeof(expected)})) {
        broken(walk, audit_id,
               "its content is not what was written, or does not follow the entry before it");
        return;
    }
    if (!str_equal(prev, (struct str){(const char *)walk->hash, sizeof(walk->hash)})) {
        broken(walk, audit_id, "it names another entry before it");
        return;
    }
    base_copy(walk->hash, expected, sizeof(expected));
    walk->entries++;
    walk->next_id++;
}

static enum err walk_end(struct store_db *db, struct record_walk *walk)
{
    uint64_t entries = 0;
    uint8_t hash[RECORD_HASH_BYTES];
    enum err err = head_get(db, &entries, hash);
    if (err == ERR_NOT_FOUND) {
        broken(walk, walk->next_id, "the note of where the chain ends is gone");
        return ERR_OK;
    }
    if (err != ERR_OK)
        return err;
    if (entries > walk->entries)
        broken(walk, walk->next_id, "this entry is missing, and so are all after it");
    else if (entries < walk->entries)
        broken(walk, entries + 1, "this entry was added by something else than this program");
    else if (!base_equal(hash, walk->hash, sizeof(hash)))
        broken(walk, walk->entries, "it is not the entry that was written last");
    walk->finished = true;
    return ERR_OK;
}

enum err record_audit_verify(struct store_db *db, uint32_t rows_max, struct record_walk *walk)
{
    if (walk->finished)
        return ERR_OK;
    if (walk->next_id == 0)
        *walk = (struct record_walk){.next_id = 1};
    struct store_stmt *stmt = store_prepare(db, &record_statements, STMT_AUDIT_WALK);
    store_bind_i64(stmt, 1,
                   walk->next_id == 1 ? INT64_MIN
                                      : (int64_t)walk->next_id); /* an id below 1 is wrong too */
    store_bind_i64(stmt, 2, rows_max);
    enum err err = ERR_OK;
    for (uint32_t i = 0; i < rows_max && !walk->finished; i++) {
        err = store_row(stmt);
        if (err == ERR_NOT_FOUND)
            return walk_end(db, walk);
        if (err != ERR_OK)
            return err;
        walk_row(walk, stmt);
    }
    return ERR_OK;
}
