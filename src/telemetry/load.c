/* Memory from SQL, once, before the loop runs. */
#include "telemetry/telemetry_room_int.h"

struct load {
    struct store_job job;
    struct telemetry *telemetry;
};

static enum err load_policy(struct telemetry *telemetry, struct store_db *db)
{
    struct store_stmt *stmt = telemetry_sql(db, SQL_POLICY_SHOW);
    enum err err = store_row(stmt);
    if (err != ERR_OK)
        return err == ERR_NOT_FOUND ? ERR_IO : err;
    struct telemetry_policy policy = {
        .raw_days = (uint32_t)store_col_i64(stmt, 0),
        .minutes5_days = (uint32_t)store_col_i64(stmt, 1),
        .hour_days = (uint32_t)store_col_i64(stmt, 2),
        .day_days = (uint32_t)store_col_i64(stmt, 3),
    };
    if (!telemetry_policy_good(&policy))
        return ERR_IO;
    telemetry->policy = policy;
    return ERR_OK;
}

static enum err load_series(struct telemetry *telemetry, struct store_db *db)
{
    struct store_stmt *stmt = telemetry_sql(db, SQL_SERIES_ALL);
    for (;;) {
        struct telemetry_series *series;
        enum err err = store_row(stmt);
        if (err == ERR_NOT_FOUND)
            return ERR_OK;
        if (err == ERR_OK && (store_col_i64(stmt, 0) <= 0 || !id_valid(store_col_text(stmt, 1))))
            err = ERR_IO;
        if (err == ERR_OK)
            err = telemetry_series_add(&telemetry->registry, &telemetry->options,
                                       store_col_i64(stmt, 0), store_col_text(stmt, 1),
                                       store_col_text(stmt, 2), &series);
        if (err != ERR_OK)
            return err;
        series->stored = true;
    }
}

static enum err load_latest(struct telemetry_series *series, struct store_db *db)
{
    struct store_stmt *stmt = telemetry_sql(db, SQL_LATEST);
    store_bind_i64(stmt, 1, series->series_id);
    enum err err = store_row(stmt);
    if (err == ERR_NOT_FOUND)
        return ERR_OK; /* nothing of it was kept */
    if (err != ERR_OK)
        return err;
    int64_t provenance = store_col_i64(stmt, 2);
    if (provenance < TELEMETRY_MEASURED || provenance > TELEMETRY_ESTIMATED)
        return ERR_IO;
    series->at_ms = store_col_i64(stmt, 0);
    series->value = store_col_f64(stmt, 1);
    series->provenance = (enum telemetry_provenance)provenance;
    series->received_at_ms = series->at_ms + store_col_i64(stmt, 3);
    series->has_latest = true;
    return ERR_OK;
}

/* From now on, and only while a column store is named, other rooms write their rows too. */
static enum err configure_outbox(const struct telemetry *telemetry, struct store_db *db)
{
    struct store_stmt *stmt = telemetry_sql(db, SQL_OUTBOX_CONFIGURE);
    store_bind_i64(stmt, 1, telemetry->outbox_on);
    store_bind_i64(stmt, 2, (int64_t)telemetry->options.outbox_bytes_max);
    return store_exec(db, stmt, NULL);
}

static enum err load_run(struct store_job *job, struct store_db *db)
{
    struct telemetry *telemetry = ((struct load *)(void *)job)->telemetry;
    enum err err = load_policy(telemetry, db);
    if (err == ERR_OK)
        err = load_series(telemetry, db);
    for (uint32_t i = 0; err == ERR_OK && i < telemetry->registry.series_count; i++)
        err = load_latest(telemetry->registry.series[i], db);
    return err == ERR_OK ? configure_outbox(telemetry, db) : err;
}

enum err telemetry_load(struct telemetry *telemetry)
{
    struct load load = {.job = {.run = load_run}, .telemetry = telemetry};
    return store_run_now(telemetry->options.store, &load.job);
}
