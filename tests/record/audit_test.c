#include <stdio.h>
#include <string.h>

#include "record/record_kit.h"

struct audit_add {
    int count, from;
    enum err verdict;
};

static enum err add_body(struct store_db *db, void *cookie)
{
    const struct audit_add *add = cookie;
    for (int i = add->from; i < add->from + add->count; i++) {
        char subject[32];
        snprintf(subject, sizeof(subject), "command:%d", i % 3);
        struct record_entry entry = {
            .at_ms = 1000 + i,
            .actor = i % 2 == 0 ? STR("account:alice") : STR("machine:espresso-1"),
            .action = STR("command.create"),
            .subject = str_from(subject),
            .detail = i % 2 == 0 ? STR("{\"n\":1}") : STR_NONE,
            .request_id = STR("r1"),
        };
        enum err err = record_audit(db, &entry);
        if (err != ERR_OK)
            return err;
    }
    return add->verdict;
}

static void add(struct store *store, int from, int count)
{
    struct audit_add what = {.count = count, .from = from};
    CHECK_OK(in_job(store, add_body, &what));
}

static enum err verify_body(struct store_db *db, void *cookie)
{
    return record_audit_verify(db, 3, cookie);
}

static struct record_walk verify(struct store *store)
{
    struct record_walk walk = {.next_id = 0};
    for (int calls = 0; !walk.finished; calls++) {
        CHECK(calls < 100);
        CHECK_OK(in_job(store, verify_body, &walk));
    }
    return walk;
}

/* ---- whoever tampers uses SQL of their own ---- */

enum {
    TAMPER_ACTOR,
    TAMPER_DETAIL,
    TAMPER_DELETE_MIDDLE,
    TAMPER_DELETE_TAIL,
    TAMPER_DELETE_FIRST,
    TAMPER_DELETE_ALL,
    TAMPER_SWAP_A,
    TAMPER_SWAP_B,
    TAMPER_SWAP_C,
    TAMPER_TIME,
    TAMPER_HASH,
    TAMPER_PREV,
    TAMPER_DELETE_TAIL_HEAD,
    TAMPER_INSERT,
    TAMPER_NULL,
    TAMPER_HEAD_GONE,
    TAMPER_BELOW,
    TAMPER_COUNT
};
static const char *const tamper_sql[TAMPER_COUNT] = {
    [TAMPER_ACTOR] = "UPDATE audit SET actor = 'account:bob' WHERE audit_id = 5",
    [TAMPER_DETAIL] = "UPDATE audit SET detail = '{\"n\":2}' WHERE audit_id = 5",
    [TAMPER_DELETE_MIDDLE] = "DELETE FROM audit WHERE audit_id = 5",
    [TAMPER_DELETE_TAIL] = "DELETE FROM audit WHERE audit_id >= 9",
    [TAMPER_DELETE_FIRST] = "DELETE FROM audit WHERE audit_id = 1",
    [TAMPER_DELETE_ALL] = "DELETE FROM audit",
    [TAMPER_SWAP_A] = "UPDATE audit SET audit_id = 1000 WHERE audit_id = 5",
    [TAMPER_SWAP_B] = "UPDATE audit SET audit_id = 5 WHERE audit_id = 7",
    [TAMPER_SWAP_C] = "UPDATE audit SET audit_id = 7 WHERE audit_id = 1000",
    [TAMPER_TIME] = "UPDATE audit SET at = at + 1 WHERE audit_id = 5",
    [TAMPER_HASH] = "UPDATE audit SET hash = zeroblob(32) WHERE audit_id = 5",
    [TAMPER_PREV] = "UPDATE audit SET prev_hash = zeroblob(32) WHERE audit_id = 5",
    [TAMPER_DELETE_TAIL_HEAD] = "UPDATE audit_head SET entries = 4",
    [TAMPER_INSERT] = ("INSERT INTO audit SELECT 11, at, actor, action, subject, NULL, NULL, "
                       "prev_hash, hash FROM audit LIMIT 1"),
    [TAMPER_NULL] = "UPDATE audit SET detail = NULL WHERE audit_id = 5",
    [TAMPER_HEAD_GONE] = "DELETE FROM audit_head",
    [TAMPER_BELOW] = "UPDATE audit SET audit_id = -5 WHERE audit_id = 5",
};
static struct store_statements tamper_statements = {"tamper", tamper_sql, TAMPER_COUNT, 0};

static enum err tamper_body(struct store_db *db, void *cookie)
{
    int64_t changes = 0;
    struct store_stmt *stmt = store_prepare(db, &tamper_statements, *(const int *)cookie);
    enum err err = store_exec(db, stmt, &changes);
    return err == ERR_OK && changes == 0 ? ERR_NOT_FOUND : err;
}

static uint64_t broken_after(int which)
{
    struct store *store = record_store_at(NULL);
    add(store, 0, 10);
    CHECK_EQ(verify(store).broken_id, 0);
    NOTE("%s", tamper_sql[which]);
    CHECK_OK(in_job(store, tamper_body, &which));
    struct record_walk walk = verify(store);
    CHECK(walk.why != NULL);
    store_close(store);
    return walk.broken_id;
}

TEST(an_untouched_chain_verifies)
{
    struct store *store = record_store_at(NULL);
    struct record_walk walk = verify(store);
    CHECK_EQ(walk.broken_id, 0);
    CHECK_EQ(walk.entries, 0);
    for (int i = 0; i < 8; i++)
        add(store, i, 1);
    walk = verify(store);
    CHECK_EQ(walk.broken_id, 0);
    CHECK_EQ(walk.entries, 8);
    CHECK(walk.why == NULL);
    store_close(store);
}

TEST(a_changed_entry_is_found)
{
    CHECK_EQ(broken_after(TAMPER_ACTOR), 5);
    CHECK_EQ(broken_after(TAMPER_DETAIL), 5);
    CHECK_EQ(broken_after(TAMPER_NULL), 5);
    CHECK_EQ(broken_after(TAMPER_TIME), 5);
    CHECK_EQ(broken_after(TAMPER_HASH), 5);
    CHECK_EQ(broken_after(TAMPER_PREV), 5);
}

TEST(a_missing_entry_is_found)
{
    CHECK_EQ(broken_after(TAMPER_DELETE_MIDDLE), 5);
    CHECK_EQ(broken_after(TAMPER_DELETE_FIRST), 1);
    CHECK_EQ(broken_after(TAMPER_DELETE_TAIL), 9);
    CHECK_EQ(broken_after(TAMPER_DELETE_ALL), 1);
    CHECK_EQ(broken_after(TAMPER_DELETE_TAIL_HEAD), 5);
    CHECK_EQ(broken_after(TAMPER_BELOW), 1);
    CHECK_EQ(broken_after(TAMPER_HEAD_GONE), 11);
}

TEST(an_added_entry_is_found)
{
    CHECK_EQ(broken_after(TAMPER_INSERT), 11);
}

TEST(swapped_entries_are_found)
{
    struct store *store = record_store_at(NULL);
    add(store, 0, 10);
    for (int i = TAMPER_SWAP_A; i <= TAMPER_SWAP_C; i++)
        CHECK_OK(in_job(store, tamper_body, &i));
    CHECK_EQ(verify(store).broken_id, 5);
    store_close(store);
}

static void ignore_done(struct store_job *job, enum err err)
{
    (void)job;
    (void)err;
}

TEST(a_job_that_fails_leaves_no_entry_and_the_chain_goes_on)
{
    struct store *store = record_store_at(NULL);
    struct audit_add refused = {.count = 2, .from = 50, .verdict = ERR_REFUSED};
    struct record_job jobs[3];
    struct audit_add good[2] = {{.count = 2, .from = 0}, {.count = 1, .from = 2}};
    add(store, 100, 1);
    void *cookies[] = {&good[0], &refused, &good[1]};
    extern void ignore_done(struct store_job * job, enum err err);
    for (int i = 0; i < 3; i++) {
        jobs[i] = (struct record_job){.job = {.run = record_job_run, .done = ignore_done},
                                      .body = add_body,
                                      .cookie = cookies[i]};
        CHECK_OK(store_write(store, &jobs[i].job));
    }
    CHECK_EQ(store_step(store, 0), 3);
    struct record_walk walk = verify(store);
    CHECK_EQ(walk.broken_id, 0);
    CHECK_EQ(walk.entries, 4);
    store_close(store);
}

TEST(the_chain_goes_on_after_reopening)
{
    const char *path = kit_path(kit_tempdir(), "a.db");
    struct store *store = record_store_at(path);
    add(store, 0, 4);
    store_close(store);
    store = record_store_at(path);
    add(store, 4, 4);
    CHECK_EQ(verify(store).entries, 8);
    CHECK_EQ(verify(store).broken_id, 0);
    store_close(store);
}

struct list_ask {
    uint64_t before_id;
    uint32_t limit;
    struct str actor, subject;
    struct arena scratch;
    struct record_row *rows;
    size_t count;
};

static enum err list_body(struct store_db *db, void *cookie)
{
    struct list_ask *ask = cookie;
    return record_audit_list(db, ask->before_id, ask->limit, ask->actor, ask->subject,
                             &ask->scratch, &ask->rows, &ask->count);
}

TEST(the_list_pages_newest_first_and_filters)
{
    struct store *store = record_store_at(NULL);
    struct list_ask ask = {.limit = 4};
    add(store, 0, 10);
    arena_init(&ask.scratch, MIB);
    CHECK_OK(in_job(store, list_body, &ask));
    CHECK_EQ(ask.count, 4);
    CHECK_EQ(ask.rows[0].audit_id, 10);
    CHECK_EQ(ask.rows[3].audit_id, 7);
    CHECK_SLICE(ask.rows[0].entry.actor, "machine:espresso-1");
    CHECK_SLICE(ask.rows[0].entry.subject, "command:0");
    CHECK(ask.rows[0].entry.detail.at == NULL);
    CHECK_SLICE(ask.rows[1].entry.detail, "{\"n\":1}");
    CHECK_EQ(ask.rows[0].entry.at_ms, 1009);
    ask.before_id = 7;
    ask.limit = UINT32_MAX;
    CHECK_OK(in_job(store, list_body, &ask));
    CHECK_EQ(ask.count, 6);
    CHECK_EQ(ask.rows[0].audit_id, 6);
    ask.before_id = 0;
    ask.actor = STR("account:alice");
    CHECK_OK(in_job(store, list_body, &ask));
    CHECK_EQ(ask.count, 5);
    ask.subject = STR("command:0");
    CHECK_OK(in_job(store, list_body, &ask));
    CHECK_EQ(ask.count, 2); /* entries 0 and 6 */
    ask.actor = STR_NONE;
    CHECK_OK(in_job(store, list_body, &ask));
    CHECK_EQ(ask.count, 4);
    ask.limit = 0;
    CHECK_OK(in_job(store, list_body, &ask));
    CHECK_EQ(ask.count, 0);
    ask.limit = 10;
    arena_finish(&ask.scratch);
    arena_init(&ask.scratch, 64); /* too small for the rows */
    CHECK_ERR(in_job(store, list_body, &ask), ERR_NOMEM);
    arena_finish(&ask.scratch);
    store_close(store);
}

static enum err one_body(struct store_db *db, void *cookie)
{
    return record_audit(db, cookie);
}

TEST(what_could_not_be_shown_again_is_refused)
{
    struct store *store = record_store_at(NULL);
    static char longer[RECORD_DETAIL_BYTES_MAX + 1];
    memset(longer, 'x', sizeof(longer));
    struct record_entry entry = {.actor = STR("a\0b"), .action = STR("x"), .subject = STR("y")};
    CHECK_ERR(in_job(store, one_body, &entry), ERR_INPUT);
    entry.actor = STR("\xff");
    CHECK_ERR(in_job(store, one_body, &entry), ERR_INPUT);
    entry.actor = (struct str){longer, RECORD_NAME_BYTES_MAX + 1};
    CHECK_ERR(in_job(store, one_body, &entry), ERR_INPUT);
    entry.actor = (struct str){longer, RECORD_NAME_BYTES_MAX};
    entry.detail = (struct str){longer, sizeof(longer)};
    CHECK_ERR(in_job(store, one_body, &entry), ERR_INPUT);
    entry.detail.len--;
    CHECK_OK(in_job(store, one_body, &entry));
    entry = (struct record_entry){.action =
                                      STR("only")}; /* the others become empty, and verify agrees */
    CHECK_OK(in_job(store, one_body, &entry));
    CHECK_EQ(verify(store).broken_id, 0);
    CHECK_EQ(verify(store).entries, 2);
    store_close(store);
}
