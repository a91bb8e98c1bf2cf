/* Models as staff see them: which there are, training jobs, what is kept of them. */
#include "web/lm_int.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define EPOCHS_MILLI     1000 /* one, unless said */
#define EPOCHS_MILLI_MAX 1000000
#define STEPS_MAX        100000000

/* ---- models ---- */

static void show_model(struct json_out *out, const struct barista_model_info *info)
{
    out_open(out, NULL, '{');
    out_text(out, "name", info->name);
    out_bool(out, "trained", info->trained);
    out_bool(out, "summarizes", info->summarizes);
    if (info->trained) {
        out_word(out, "dtype", lm_dtype_name(info->dtype));
        out_u64(out, "parameters", info->parameters);
        out_u64(out, "file_bytes", info->file_bytes);
        out_u64(out, "context", info->context);
        out_u64(out, "vocabulary", info->vocab);
        out_time(out, "loaded_at", info->loaded_at_ms);
    }
    out_word(out, "why", info->why);
    out_raw(out, "card", info->card, "null");
    out_close(out, '}');
}

void web_lm_models(struct web_call *call)
{
    struct barista_model_info infos[BARISTA_MODELS_MAX];
    struct barista *barista = call->web->barista;
    size_t count = barista != NULL ? barista_models(barista, infos) : 0;
    out_open(&call->out, NULL, '{');
    out_open(&call->out, "items", '[');
    for (size_t i = 0; i < count; i++)
        show_model(&call->out, &infos[i]);
    out_close(&call->out, ']');
    out_null(&call->out, "next");
    out_word(&call->out, "instructions", lm_isa_name());
    out_word(&call->out, "facts_why", barista != NULL ? barista_facts_why(barista) : NULL);
    out_close(&call->out, '}');
    web_reply_json(call, 200);
}

/* ---- on record ---- */

struct noting {
    struct web_call *call;
    struct store_job job;
    const char *action;
    char subject[96], detail[128];
    struct record_entry entry;
    uint16_t status;
};

static enum err note_run(struct store_job *job, struct store_db *db)
{
    struct noting *noting = (struct noting *)(void *)((char *)job - offsetof(struct noting, job));
    return record_audit(db, &noting->entry);
}

static void note_done(struct store_job *job, enum err err)
{
    struct noting *noting = (struct noting *)(void *)((char *)job - offsetof(struct noting, job));
    web_hub_records(noting->call->web->hub);
    if (err == ERR_OK)
        web_reply_json(noting->call, noting->status);
    else
        web_reply_err(noting->call, err);
}

/* What call->out holds is answered when it is on record who did this. */
static void answer_noted(struct web_call *call, uint16_t status, const char *action,
                         const char *subject)
{
    struct noting *noting = arena_alloc(&call->scratch, sizeof(*noting));
    if (noting == NULL) {
        web_reply_err(call, ERR_NOMEM);
        return;
    }
    *noting = (struct noting){
        .call = call, .job = {.run = note_run, .done = note_done}, .status = status};
    (void)snprintf(noting->subject, sizeof(noting->subject), "%s", subject);
    noting->entry = (struct record_entry){.at_ms = web_now_ms(call->web),
                                          .actor = str_from(call->actor),
                                          .action = str_from(action),
                                          .subject = str_from(noting->subject),
                                          .request_id = str_from(call->request_id)};
    enum err err = store_write(call->web->store, &noting->job);
    if (err != ERR_OK)
        web_reply_err(call, err);
}

/* ---- jobs ---- */

static void number_or_null(struct json_out *out, const char *name, double value)
{
    if (value > 0)
        out_f64(out, name, value);
    else
        out_null(out, name);
}

static void show_progress(struct json_out *out, const struct barista_job *job)
{
    const struct lm_train_progress *progress = &job->progress;
    if (!job->progress_known) {
        out_null(out, "progress");
        return;
    }
    out_open(out, "progress", '{');
    out_u64(out, "step", progress->step);
    out_u64(out, "steps", progress->steps);
    out_u64(out, "tokens", progress->tokens);
    number_or_null(out, "loss", progress->loss);
    number_or_null(out, "valid_loss", progress->valid_loss);
    number_or_null(out, "valid_perplexity",
                   progress->valid_loss > 0 ? exp(progress->valid_loss) : 0);
    number_or_null(out, "best_valid_loss", progress->best_valid_loss);
    number_or_null(out, "learning_rate", progress->learning_rate);
    number_or_null(out, "tokens_per_s", progress->tokens_per_s);
    out_f64(out, "eta_s", progress->eta_s);
    out_close(out, '}');
}

static void show_job(struct json_out *out, const struct barista_job *job)
{
    char id[24];
    (void)snprintf(id, sizeof(id), "%llu", (unsigned long long)job->job_id);
    out_open(out, NULL, '{');
    out_word(out, "job_id", id);
    out_word(out, "status", job->cancelling ? "cancelling" : barista_job_state_name(job->state));
    out_word(out, "model", job->model);
    out_word(out, "data_path", job->data_path);
    out_f64(out, "epochs", job->epochs);
    out_time(out, "begun_at", job->begun_at_ms);
    out_time(out, "ended_at", job->ended_at_ms);
    show_progress(out, job);
    if (job->why[0] != 0)
        out_word(out, "why", job->why);
    else
        out_null(out, "why");
    out_close(out, '}');
}

static bool train_read(struct web_call *call, struct barista_train *train)
{
    struct kinds_refusal refusal;
    struct kinds_reader reader;
    int64_t epochs = EPOCHS_MILLI, steps = 0, batch = 0, length = 0, seed = 0;
    *train = (struct barista_train){.at_ms = web_now_ms(call->web)};
    web_read_body(call, &reader, &refusal);
    kinds_read_text(&reader, "model", true, 31, &train->model);
    kinds_read_text(&reader, "data_path", false, 500, &train->data_path);
    (void)kinds_read_milli(&reader, "epochs", false, 1, EPOCHS_MILLI_MAX, &epochs);
    (void)kinds_read_i64(&reader, "steps", false, 1, STEPS_MAX, &steps);
    (void)kinds_read_i64(&reader, "batch", false, 1, 512, &batch);
    (void)kinds_read_i64(&reader, "length", false, 8, 1536, &length);
    (void)kinds_read_i64(&reader, "seed", false, 0, UINT32_MAX, &seed);
    train->epochs = (double)epochs / 1000;
    train->steps = (uint32_t)steps;
    train->batch = (uint32_t)batch;
    train->length = (uint32_t)length;
    train->seed = (uint64_t)seed;
    return web_read_end(call, &reader);
}

/* "data_path: why": the field's name and the rest. */
static void answer_fault(struct web_call *call, uint16_t status, const char *code,
                         const struct lm_fault *fault)
{
    char field[32] = "";
    struct str why = str_from(fault->why);
    size_t colon = str_find(why, ':');
    if (colon < why.len && str_copy(field, sizeof(field), str_slice(why, 0, colon)) != ERR_OK)
        field[0] = 0;
    web_reply_problem(
        call, &(struct web_problem){.status = status,
                                    .code = code,
                                    .detail = field[0] != 0 ? fault->why + colon + 2 : fault->why,
                                    .field = field});
}

static void answer_running(struct web_call *call, uint64_t job_id)
{
    char detail[96];
    (void)snprintf(detail, sizeof(detail), "Job %llu runs; one at a time.",
                   (unsigned long long)job_id);
    web_reply_code(call, 409, "training_runs", detail);
}

void web_lm_train(struct web_call *call)
{
    struct barista_train train;
    struct lm_fault fault = {0};
    uint64_t job_id = 0;
    char id[24], subject[48];
    if (!lm_needed(call) || !train_read(call, &train))
        return;
    enum err err = barista_train_start(call->web->barista, &train, &fault, &job_id);
    bool model = str_starts(str_from(fault.why), STR("model:"));
    switch (err) {
    case ERR_OK:
        break;
    case ERR_CONFLICT:
        answer_running(call, job_id);
        return;
    case ERR_NOT_FOUND:
        answer_fault(call, 422, model ? "unknown_model" : "unknown_path", &fault);
        return;
    case ERR_DENIED:
        answer_fault(call, 422, "path_outside", &fault);
        return;
    case ERR_CLOSED:
        web_reply_code(call, 503, "no_training", "This server does not train.");
        return;
    case ERR_AGAIN:
    case ERR_INPUT:
    case ERR_REFUSED:
    case ERR_FULL:
    case ERR_NOMEM:
    case ERR_IO:
    case ERR_TIMEOUT:
    case ERR_VERSION:
    default:
        log_line(LOG_WARN, "job_not_begun", "request_id", "%s", call->request_id, "err", "%s",
                 err_name(err), NULL);
        web_reply_code(call, 503, "store_failed", "The job's folder could not be written.");
        return;
    }
    (void)snprintf(id, sizeof(id), "%llu", (unsigned long long)job_id);
    (void)snprintf(subject, sizeof(subject), "job:%s", id);
    out_open(&call->out, NULL, '{');
    out_word(&call->out, "status", "training_started");
    out_word(&call->out, "job_id", id);
    out_close(&call->out, '}');
    answer_noted(call, 202, "model.train", subject);
}

void web_lm_jobs(struct web_call *call)
{
    uint32_t limit, shown = 0;
    struct str cursor;
    uint64_t before = 0, job_id;
    if (!lm_needed(call) || !web_read_page(call, &limit, &cursor))
        return;
    if (cursor.at != NULL && (str_to_u64(cursor, &before) != ERR_OK || before == 0)) {
        web_reply_problem(call, &(struct web_problem){.status = 400,
                                                      .code = "bad_value",
                                                      .detail = "This is no cursor of ours.",
                                                      .field = "cursor"});
        return;
    }
    out_open(&call->out, NULL, '{');
    out_open(&call->out, "items", '[');
    for (job_id = barista_train_before(call->web->barista, before); job_id != 0 && shown < limit;
         job_id = barista_train_before(call->web->barista, before)) {
        struct barista_job job;
        if (barista_train_get(call->web->barista, job_id, &job) == ERR_OK)
            show_job(&call->out, &job);
        before = job_id;
        shown++;
    }
    out_close(&call->out, ']');
    if (job_id != 0) {
        char next[24];
        (void)snprintf(next, sizeof(next), "%llu", (unsigned long long)before);
        out_word(&call->out, "next", next);
    } else {
        out_null(&call->out, "next");
    }
    out_close(&call->out, '}');
    web_reply_json(call, 200);
}

void web_lm_job(struct web_call *call)
{
    struct barista_job job;
    if (!lm_needed(call))
        return;
    if (barista_train_get(call->web->barista, call->number, &job) != ERR_OK) {
        web_reply_code(call, 404, "unknown_job", "No job has this number.");
        return;
    }
    show_job(&call->out, &job);
    web_reply_json(call, 200);
}

void web_lm_job_cancel(struct web_call *call)
{
    struct barista_job job;
    char subject[48];
    if (!lm_needed(call))
        return;
    enum err err = barista_train_cancel(call->web->barista, call->number);
    if (err == ERR_NOT_FOUND) {
        web_reply_code(call, 404, "unknown_job", "No job has this number.");
        return;
    }
    if (err == ERR_OK)
        err = barista_train_get(call->web->barista, call->number, &job);
    if (err == ERR_CONFLICT) {
        web_reply_code(call, 409, "already_settled", "This job has ended.");
        return;
    }
    if (err != ERR_OK) {
        web_reply_err(call, err);
        return;
    }
    show_job(&call->out, &job);
    (void)snprintf(subject, sizeof(subject), "job:%llu", (unsigned long long)call->number);
    answer_noted(call, 202, "model.train.cancel", subject);
}

/* ---- saving ---- */

static void saved(void *cookie, enum err err, const struct lm_fault *fault, const char *path)
{
    struct web_call *call = cookie;
    char subject[96];
    if (err == ERR_INPUT) {
        web_reply_code(call, 422, "unsuitable_weights", fault->why);
        return;
    }
    if (err != ERR_OK) {
        web_reply_code(call, 503, "store_failed",
                       fault->why[0] != 0 ? fault->why : "The models' folder cannot be written.");
        return;
    }
    const char *slash = strrchr(path, '/');
    (void)snprintf(subject, sizeof(subject), "model:%.64s", slash != NULL ? slash + 1 : path);
    out_open(&call->out, NULL, '{');
    out_word(&call->out, "status", "saved");
    out_word(&call->out, "path", path);
    out_close(&call->out, '}');
    answer_noted(call, 200, "model.save", subject);
}

static bool dtype_read(struct kinds_reader *reader, enum lm_dtype *dtype, bool *ret_given)
{
    struct str text = STR_NONE;
    kinds_read_text(reader, "dtype", false, 16, &text);
    *ret_given = text.len > 0;
    if (!*ret_given || lm_dtype_parse(text, dtype))
        return true;
    kinds_read_fault(reader, "bad_value", "dtype", "f32, bf16, int8 or int4.");
    return false;
}

void web_lm_save(struct web_call *call)
{
    struct kinds_refusal refusal;
    struct kinds_reader reader;
    struct lm_fault fault = {0};
    struct str model = STR_NONE, path = STR_NONE;
    enum lm_dtype dtype = LM_F32;
    bool quantise = false;
    if (!lm_needed(call))
        return;
    web_read_body(call, &reader, &refusal);
    kinds_read_text(&reader, "model", true, 31, &model);
    kinds_read_text(&reader, "path", true, 500, &path);
    (void)dtype_read(&reader, &dtype, &quantise);
    if (!web_read_end(call, &reader))
        return;
    enum err err = barista_save(call->web->barista, model, path, quantise ? &dtype : NULL, &fault,
                                saved, call);
    if (err == ERR_NOT_FOUND)
        answer_fault(call, 422, "unknown_model", &fault);
    else if (err == ERR_DENIED)
        answer_fault(call, 422, "bad_path", &fault);
    else if (err == ERR_CONFLICT)
        web_reply_code(call, 409, "saving_runs", "Another model is being saved.");
    else if (err == ERR_CLOSED)
        web_reply_problem(call, &(struct web_problem){.status = 503,
                                                      .code = "model_not_trained",
                                                      .detail = "There are no weights to save.",
                                                      .retry_after_s = LM_UNTRAINED_RETRY_S});
    else if (err != ERR_OK)
        web_reply_err(call, err);
}
