/* How long what is kept. */
#include "telemetry/telemetry_room_int.h"

#include <stdio.h>

#define DAYS_MAX 36500u

struct policy_op {
    struct telemetry_op op; /* first */
    struct telemetry_policy policy, before;
    int64_t at_ms;
    char actor[ID_BYTES_MAX + 32], request_id[REQUEST_ID_BYTES];
    void (*done)(void *cookie, enum err err);
    void *cookie;
};

static uint32_t as_long(uint32_t days)
{
    return days == 0 ? UINT32_MAX : days;
}

/* What is coarser is kept at least as long as what is finer, or a chart would lose its past by
 * zooming out. */
bool telemetry_policy_good(const struct telemetry_policy *policy)
{
    return policy->raw_days <= DAYS_MAX && policy->minutes5_days <= DAYS_MAX &&
           policy->hour_days <= DAYS_MAX && policy->day_days <= DAYS_MAX &&
           as_long(policy->raw_days) <= as_long(policy->minutes5_days) &&
           as_long(policy->minutes5_days) <= as_long(policy->hour_days) &&
           as_long(policy->hour_days) <= as_long(policy->day_days);
}

struct telemetry_policy telemetry_policy_get(const struct telemetry *telemetry)
{
    return telemetry->policy;
}

static enum err audit(const struct policy_op *op, struct store_db *db)
{
    char detail[256];
    (void)snprintf(detail, sizeof(detail),
                   "{\"raw_days\":%u,\"minutes5_days\":%u,\"hour_days\":%u,\"day_days\":%u,"
                   "\"before\":[%u,%u,%u,%u]}",
                   op->policy.raw_days, op->policy.minutes5_days, op->policy.hour_days,
                   op->policy.day_days, op->before.raw_days, op->before.minutes5_days,
                   op->before.hour_days, op->before.day_days);
    return record_audit(db, &(struct record_entry){
                                .at_ms = op->at_ms,
                                .actor = str_from(op->actor),
                                .action = STR("telemetry.policy"),
                                .subject = STR("telemetry"),
                                .detail = str_from(detail),
                                .request_id = str_from(op->request_id),
                            });
}

static enum err policy_run(struct store_job *job, struct store_db *db)
{
    const struct policy_op *op = (const struct policy_op *)(const void *)job;
    struct store_stmt *stmt = telemetry_sql(db, SQL_POLICY_SET);
    store_bind_i64(stmt, 1, op->policy.raw_days);
    store_bind_i64(stmt, 2, op->policy.minutes5_days);
    store_bind_i64(stmt, 3, op->policy.hour_days);
    store_bind_i64(stmt, 4, op->policy.day_days);
    enum err err = store_exec(db, stmt, NULL);
    return err == ERR_OK ? audit(op, db) : err;
}

static void policy_done(struct store_job *job, enum err err)
{
    struct policy_op *op = (struct policy_op *)(void *)job;
    void (*done)(void *cookie, enum err err) = op->done;
    void *cookie = op->cookie;
    if (err == ERR_OK) {
        op->op.telemetry->policy = op->policy;
        op->op.telemetry->retention.again = true; /* what is too old now goes soon */
    }
    telemetry_op_free(&op->op);
    if (done != NULL)
        done(cookie, err);
}

enum err telemetry_policy_set(struct telemetry *telemetry, const struct telemetry_policy *policy,
                              struct str actor, const char *request_id,
                              void (*done)(void *cookie, enum err err), void *cookie)
{
    if (!telemetry_policy_good(policy))
        return ERR_INPUT;
    struct policy_op *op = telemetry_op_create(telemetry, sizeof(*op));
    if (op == NULL)
        return ERR_NOMEM;
    op->op.job = (struct store_job){.run = policy_run, .done = policy_done, .again = true};
    op->policy = *policy;
    op->before = telemetry->policy;
    op->at_ms = telemetry_now_ms(telemetry);
    op->done = done;
    op->cookie = cookie;
    (void)snprintf(op->actor, sizeof(op->actor), "%.*s", STR_ARG(str_slice(actor, 0, 90)));
    (void)snprintf(op->request_id, sizeof(op->request_id), "%s",
                   request_id != NULL ? request_id : "");
    enum err err = store_write(telemetry->options.store, &op->op.job);
    if (err != ERR_OK)
        telemetry_op_free(&op->op);
    return err;
}
