/* A stretch of one series, read beside the writer. */
#include "telemetry/telemetry_room_int.h"

#define POINTS_PRESET 500u
#define POINTS_MAX    5000u
#define LEVEL_DAYS    3u /* the coarsest: raw 0, 5 min 1, hour 2, day 3 */

struct range_op {
    struct telemetry_op op; /* first */
    char machine_id[ID_BYTES_MAX + 1], type[TELEMETRY_TYPE_BYTES];
    int64_t from_ms, to_ms;
    int64_t kept_from_ms[RETENTION_LEVELS]; /* older is gone by policy; INT64_MIN: nothing is */
    enum telemetry_resolution resolution;
    uint32_t points_max;
    telemetry_range_done *done;
    void *cookie;
    /* The answer. */
    uint32_t count;
    bool more;
    struct telemetry_point point[]; /* points_max + 1 */
};

static enum err find_series(const struct range_op *op, struct store_db *db, int64_t *ret_series_id)
{
    struct store_stmt *stmt = telemetry_sql(db, SQL_SERIES_FIND);
    store_bind_text(stmt, 1, str_from(op->machine_id));
    store_bind_text(stmt, 2, str_from(op->type));
    enum err err = store_row(stmt);
    if (err == ERR_OK)
        *ret_series_id = store_col_i64(stmt, 0);
    return err;
}

/* Points of a level, counted up to `limit`. */
static enum err count_points(struct store_db *db, unsigned level, int64_t series_id,
                             int64_t from_ms, int64_t to_ms, uint32_t limit, int64_t *ret_count)
{
    struct store_stmt *stmt = telemetry_sql(db, telemetry_sql_level(SQL_RAW_COUNT, level));
    store_bind_i64(stmt, 1, series_id);
    store_bind_i64(stmt, 2, from_ms);
    store_bind_i64(stmt, 3, to_ms);
    store_bind_i64(stmt, 4, limit);
    enum err err = store_row(stmt);
    if (err == ERR_OK)
        *ret_count = store_col_i64(stmt, 0);
    return err == ERR_NOT_FOUND ? ERR_IO : err;
}

/* Whether the level still has what the range begins with: a chart must not end where the raw
 * readings were cleared away while their rollups are there. */
static enum err reaches_back(const struct range_op *op, struct store_db *db, unsigned level,
                             int64_t series_id, bool *ret_reaches)
{
    int64_t kept_from_ms = op->kept_from_ms[level];
    int64_t coarser = 0;
    *ret_reaches = true;
    if (op->from_ms >= kept_from_ms || level == LEVEL_DAYS)
        return ERR_OK;
    int64_t to_ms = op->to_ms < kept_from_ms ? op->to_ms : kept_from_ms;
    enum err err = count_points(db, LEVEL_DAYS, series_id,
                                op->from_ms - op->from_ms % TELEMETRY_DAY_MS, to_ms, 1, &coarser);
    *ret_reaches = coarser == 0;
    return err;
}

/* The finest level with at most points_max points that reaches back; else days. */
static enum err choose_level(const struct range_op *op, struct store_db *db, int64_t series_id,
                             unsigned *ret_level)
{
    for (unsigned level = 0; level < LEVEL_DAYS; level++) {
        int64_t count;
        bool reaches;
        enum err err = reaches_back(op, db, level, series_id, &reaches);
        if (err != ERR_OK)
            return err;
        if (!reaches)
            continue;
        err =
            count_points(db, level, series_id, op->from_ms, op->to_ms, op->points_max + 1, &count);
        if (err != ERR_OK)
            return err;
        if (count <= (int64_t)op->points_max) {
            *ret_level = level;
            return ERR_OK;
        }
    }
    *ret_level = LEVEL_DAYS;
    return ERR_OK;
}

static enum err read_points(struct range_op *op, struct store_db *db, unsigned level,
                            int64_t series_id)
{
    struct store_stmt *stmt = telemetry_sql(db, telemetry_sql_level(SQL_RAW_RANGE, level));
    store_bind_i64(stmt, 1, series_id);
    store_bind_i64(stmt, 2, op->from_ms);
    store_bind_i64(stmt, 3, op->to_ms);
    store_bind_i64(stmt, 4, (int64_t)op->points_max + 1);
    op->count = 0;
    for (;;) {
        enum err err = store_row(stmt);
        if (err == ERR_NOT_FOUND)
            break;
        if (err != ERR_OK)
            return err;
        int64_t count = store_col_i64(stmt, 4);
        op->point[op->count++] = (struct telemetry_point){
            .at_ms = store_col_i64(stmt, 0),
            .avg = store_col_f64(stmt, 1),
            .min = store_col_f64(stmt, 2),
            .max = store_col_f64(stmt, 3),
            .count = count < UINT32_MAX ? (uint32_t)count : UINT32_MAX,
        };
    }
    op->more = op->count > op->points_max;
    op->count -= op->more;
    return ERR_OK;
}

static enum err range_run(struct store_job *job, struct store_db *db)
{
    struct range_op *op = (struct range_op *)(void *)job;
    int64_t series_id;
    unsigned level = (unsigned)op->resolution - TELEMETRY_RAW;
    enum err err = find_series(op, db, &series_id);
    if (err == ERR_OK && op->resolution == TELEMETRY_AUTO)
        err = choose_level(op, db, series_id, &level);
    if (err != ERR_OK)
        return err;
    op->resolution = (enum telemetry_resolution)(level + TELEMETRY_RAW);
    return read_points(op, db, level, series_id);
}

static void range_done(struct store_job *job, enum err err)
{
    struct range_op *op = (struct range_op *)(void *)job;
    if (err == ERR_OK)
        op->done(op->cookie, ERR_OK, op->resolution, op->point, op->count, op->more);
    else
        op->done(op->cookie, err, op->resolution, NULL, 0, false);
    telemetry_op_free(&op->op);
}

static void set_kept(struct range_op *op, const struct telemetry *telemetry)
{
    const struct telemetry_policy *policy = &telemetry->policy;
    const uint32_t days[RETENTION_LEVELS] = {policy->raw_days, policy->minutes5_days,
                                             policy->hour_days, policy->day_days};
    int64_t now_ms = telemetry_now_ms(telemetry);
    for (unsigned level = 0; level < RETENTION_LEVELS; level++)
        op->kept_from_ms[level] =
            days[level] == 0 ? INT64_MIN : now_ms - (int64_t)days[level] * TELEMETRY_DAY_MS;
}

enum err telemetry_range_read(struct telemetry *telemetry, const struct telemetry_range *range,
                              telemetry_range_done *done, void *cookie)
{
    uint32_t points_max = range->points_max == 0 ? POINTS_PRESET : range->points_max;
    if (points_max > POINTS_MAX || (unsigned)range->resolution > TELEMETRY_DAY ||
        range->from_ms < 0 || range->to_ms < range->from_ms)
        return ERR_INPUT;
    struct range_op *op = telemetry_op_create(
        telemetry, sizeof(*op) + (points_max + 1) * sizeof(struct telemetry_point));
    if (op == NULL)
        return ERR_NOMEM;
    op->op.job = (struct store_job){.run = range_run, .done = range_done};
    op->from_ms = range->from_ms;
    op->to_ms = range->to_ms;
    op->resolution = range->resolution;
    op->points_max = points_max;
    op->done = done;
    op->cookie = cookie;
    set_kept(op, telemetry);
    enum err err = ERR_INPUT;
    if (str_copy(op->machine_id, sizeof(op->machine_id), range->machine_id) == ERR_OK &&
        str_copy(op->type, sizeof(op->type), range->type) == ERR_OK)
        err = store_read(telemetry->options.store, &op->op.job);
    if (err != ERR_OK)
        telemetry_op_free(&op->op);
    return err;
}
