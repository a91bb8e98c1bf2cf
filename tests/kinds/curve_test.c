/* The live curve: bounded, and a batch that is sent twice counts once. */
#include "kinds/kinds.h"
#include "kit/kit_store.h"

struct append_job {
    struct store_job job;
    struct kinds_samples samples;
};

struct read_job {
    struct store_job job;
    struct buf json;
};

struct setup_job {
    struct store_job job;
};

enum { SETUP_MACHINE, SETUP_COUNT };
static const char *const setup_sql[SETUP_COUNT] = {
    [SETUP_MACHINE] = "INSERT INTO commands (machine_id, payload, status, created_at, updated_at, "
                      "uid, kind, command, not_after_s, max_duration_s, created_by) VALUES ('m', "
                      "'{}', 'running', 1, 1, x'00', 'espresso', 'brew', 600, 180, 'test')",
};
static struct store_statements setup_statements = {
    .room = "test", .sql = setup_sql, .count = SETUP_COUNT};

static const struct kinds_kind *espresso(void)
{
    return kinds_find(STR("espresso"));
}

static enum err setup_run(struct store_job *job, struct store_db *db)
{
    (void)job;
    return store_exec(db, store_prepare(db, &setup_statements, SETUP_MACHINE), NULL);
}

static enum err append_run(struct store_job *job, struct store_db *db)
{
    return espresso()->curve_append(db, 1, &((struct append_job *)(void *)job)->samples, 5);
}

static enum err read_run(struct store_job *job, struct store_db *db)
{
    return espresso()->curve_read(db, 1, &((struct read_job *)(void *)job)->json);
}

static enum err last_err;

static void done(struct store_job *job, enum err err)
{
    (void)job;
    last_err = err;
}

static struct store *open_store(void)
{
    struct store *store = kit_store_memory(AUTOMAT_SOURCE_DIR);
    struct setup_job job = {.job = {.run = setup_run, .done = done}};
    CHECK_OK(store_run_now(store, &job.job));
    return store;
}

static void append(struct store *store, const char *step, int64_t first_ms, int count)
{
    json_t *rows = json_array();
    for (int i = 0; i < count; i++)
        CHECK_EQ(json_array_append_new(rows, json_pack("[I, f, i, i, i, n]",
                                                       (json_int_t)(first_ms + 100 * i), 91.2345, 1,
                                                       2, 3)),
                 0);
    struct append_job job = {
        .job = {.run = append_run, .done = done},
        .samples = {.step = str_from(step), .rows = rows, .row_count = (size_t)count}};
    CHECK_OK(store_run_now(store, &job.job));
    json_decref(rows);
}

static json_t *read_back(struct store *store)
{
    struct read_job job = {.job = {.run = read_run, .done = done}};
    buf_init(&job.json, 2 * MIB);
    CHECK_OK(store_run_now(store, &job.job));
    json_t *curve = json_loadb(job.json.at, job.json.len, JSON_REJECT_DUPLICATES, NULL);
    buf_finish(&job.json);
    CHECK(curve != NULL);
    return curve;
}

static size_t sample_count(struct store *store)
{
    json_t *curve = read_back(store);
    size_t count = json_array_size(json_object_get(curve, "samples"));
    json_decref(curve);
    return count;
}

TEST(an_empty_curve_has_its_columns)
{
    struct store *store = open_store();
    json_t *curve = read_back(store);
    CHECK_EQ(json_array_size(json_object_get(curve, "columns")), 6);
    CHECK_EQ(json_array_size(json_object_get(curve, "samples")), 0);
    CHECK_EQ(json_array_size(json_object_get(curve, "steps")), 0);
    json_decref(curve);
    store_close(store);
}

TEST(batches_become_one_curve)
{
    struct store *store = open_store();
    append(store, "picking", 0, 0);
    append(store, "brewing", 0, 3);
    append(store, "brewing", 300, 2);
    append(store, "ejecting", 500, 1);
    json_t *curve = read_back(store);
    const json_t *samples = json_object_get(curve, "samples");
    CHECK_EQ(json_array_size(samples), 6);
    for (size_t i = 0; i < 6; i++)
        CHECK_EQ(json_integer_value(json_array_get(json_array_get(samples, i), 0)), 100 * i);
    CHECK_NEAR(json_number_value(json_array_get(json_array_get(samples, 0), 1)), 91.2345, 1e-4);
    CHECK(json_is_null(json_array_get(json_array_get(samples, 0), 5)));
    const json_t *steps = json_object_get(curve, "steps");
    CHECK_EQ(json_array_size(steps), 3);
    CHECK_STR(json_string_value(json_object_get(json_array_get(steps, 2), "step")), "ejecting");
    CHECK_EQ(json_integer_value(json_object_get(json_array_get(steps, 2), "t_ms")), 400);
    json_decref(curve);
    store_close(store);
}

TEST(a_batch_sent_twice_counts_once)
{
    struct store *store = open_store();
    append(store, "brewing", 0, 10);
    append(store, "brewing", 0, 10);
    CHECK_EQ(sample_count(store), 10);
    append(store, "brewing", 500, 10); /* half of it is known */
    CHECK_EQ(sample_count(store), 15);
    store_close(store);
}

TEST(a_command_has_so_many_samples_and_no_more)
{
    struct store *store = open_store();
    for (int i = 0; i < 35; i++)
        append(store, "brewing", 20000L * i, 200);
    CHECK_EQ(sample_count(store), KINDS_SAMPLES_TOTAL_MAX);
    store_close(store);
}

/* ---- the batch as a device sends it ---- */

static void batch(const char *text, const char *code)
{
    NOTE("%s", text);
    json_t *body = json_loads(text, 0, NULL);
    CHECK(body != NULL);
    struct kinds_refusal refusal = {.code = "none"};
    struct kinds_reader reader;
    struct kinds_samples samples;
    kinds_read_begin(&reader, body, "", &refusal);
    bool good = kinds_samples_read(espresso(), &reader, &samples) && kinds_read_end(&reader);
    CHECK_EQ(good, code == NULL);
    if (code != NULL)
        CHECK_STR(refusal.code, code);
    json_decref(body);
}

TEST(batches_are_checked)
{
    batch("{\"samples\":[[0,1,2,3,4,5],[100,1,2,3,4,null]],\"step\":\"brewing\"}", NULL);
    batch("{\"step\":\"picking\"}", NULL);
    batch("{\"samples\":[[0,1,2,3,4]]}", "wrong_type");
    batch("{\"samples\":[[0,1,2,3,4,5,6]]}", "wrong_type");
    batch("{\"samples\":[[0.5,1,2,3,4,5]]}", "wrong_type");
    batch("{\"samples\":[[-1,1,2,3,4,5]]}", "wrong_type");
    batch("{\"samples\":[[0,1,\"2\",3,4,5]]}", "wrong_type");
    batch("{\"samples\":[[100,1,2,3,4,5],[100,1,2,3,4,5]]}", "out_of_limits");
    batch("{\"columns\":[\"t_ms\"],\"samples\":[]}", "out_of_limits");
    batch("{\"samples\":{}}", "wrong_type");
    batch("{\"sample\":[]}", "unknown_field");
}

/* One table for all kinds; the columns are those of who asks. */
static enum err window_read_run(struct store_job *job, struct store_db *db)
{
    return kinds_find(STR("window"))->curve_read(db, 1, &((struct read_job *)(void *)job)->json);
}

TEST(a_curve_has_the_columns_of_its_kind)
{
    struct store *store = open_store();
    struct read_job job = {.job = {.run = window_read_run, .done = done}};
    buf_init(&job.json, MIB);
    CHECK_OK(store_run_now(store, &job.job));
    CHECK_OK(last_err);
    CHECK_SLICE(buf_str(&job.json), "{\"columns\":[\"t_ms\",\"position\",\"current_a\"],"
                                    "\"samples\":[],\"steps\":[]}");
    buf_finish(&job.json);
    store_close(store);
}
