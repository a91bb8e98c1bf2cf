/* What a job has on disk: job.json is ours; progress.json is the trainer's. */
#include "barista/service_int.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_BYTES (16 * KIB)
#define TAIL_BYTES 4096

bool service_job_path(const struct barista *barista, uint64_t job_id, const char *file, char *dst,
                      size_t dst_bytes)
{
    int len = snprintf(dst, dst_bytes, "%s/%llu%s%s", barista->jobs_dir, (unsigned long long)job_id,
                       file[0] != 0 ? "/" : "", file);
    return len > 0 && (size_t)len < dst_bytes;
}

enum err service_job_write(const struct barista *barista, const struct barista_job *job)
{
    char path[SERVICE_PATH_BYTES];
    json_t *value = json_pack("{s:I, s:s, s:s, s:s, s:f, s:I, s:I, s:s}", "job_id",
                              (json_int_t)job->job_id, "state", barista_job_state_name(job->state),
                              "model", job->model, "data_path", job->data_path, "epochs",
                              job->epochs, "begun_at_ms", (json_int_t)job->begun_at_ms,
                              "ended_at_ms", (json_int_t)job->ended_at_ms, "why", job->why);
    char *text = value != NULL ? json_dumps(value, JSON_INDENT(2)) : NULL;
    enum err err = text == NULL ? ERR_NOMEM : ERR_INPUT;
    if (text != NULL && service_job_path(barista, job->job_id, "job.json", path, sizeof(path)))
        err = file_write_atomic(path, text, strlen(text), 0600);
    free(text);
    json_decref(value);
    return err;
}

static enum err file_json(const struct barista *barista, uint64_t job_id, const char *file,
                          json_t **ret_value)
{
    char path[SERVICE_PATH_BYTES];
    struct buf text;
    if (!service_job_path(barista, job_id, file, path, sizeof(path)))
        return ERR_INPUT;
    enum err err = file_read(path, FILE_BYTES, &text);
    if (err != ERR_OK)
        return err;
    json_t *value = json_loadb(text.at, text.len, JSON_REJECT_DUPLICATES, NULL);
    buf_finish(&text);
    if (!json_is_object(value)) {
        json_decref(value);
        return ERR_INPUT;
    }
    *ret_value = value;
    return ERR_OK;
}

static enum err state_parse(const char *name, enum barista_job_state *ret_state)
{
    for (int state = BARISTA_JOB_RUNNING; state <= BARISTA_JOB_INTERRUPTED; state++) {
        if (name != NULL &&
            strcmp(name, barista_job_state_name((enum barista_job_state)state)) == 0) {
            *ret_state = (enum barista_job_state)state;
            return ERR_OK;
        }
    }
    return ERR_INPUT;
}

static enum err text_read(const json_t *value, const char *name, char *dst, size_t dst_bytes)
{
    return str_copy(dst, dst_bytes, str_from(json_string_value(json_object_get(value, name))));
}

enum err service_job_read(const struct barista *barista, uint64_t job_id,
                          struct barista_job *ret_job)
{
    json_t *value = NULL;
    struct barista_job job = {.job_id = job_id};
    enum err err = file_json(barista, job_id, "job.json", &value);
    if (err != ERR_OK)
        return err;
    err = state_parse(json_string_value(json_object_get(value, "state")), &job.state);
    if (err == ERR_OK)
        err = text_read(value, "model", job.model, sizeof(job.model));
    if (err == ERR_OK)
        err = text_read(value, "data_path", job.data_path, sizeof(job.data_path));
    if (err == ERR_OK)
        err = text_read(value, "why", job.why, sizeof(job.why));
    job.epochs = json_number_value(json_object_get(value, "epochs"));
    job.begun_at_ms = json_integer_value(json_object_get(value, "begun_at_ms"));
    job.ended_at_ms = json_integer_value(json_object_get(value, "ended_at_ms"));
    json_decref(value);
    if (err == ERR_OK)
        *ret_job = job;
    return err;
}

static double number_of(const json_t *value, const char *name)
{
    return json_number_value(json_object_get(value, name)); /* 0 for null */
}

static uint64_t count_of(const json_t *value, const char *name)
{
    json_int_t number = json_integer_value(json_object_get(value, name));
    return number > 0 ? (uint64_t)number : 0;
}

void service_job_progress(const struct barista *barista, struct barista_job *job)
{
    json_t *value = NULL;
    if (file_json(barista, job->job_id, "progress.json", &value) != ERR_OK)
        return;
    job->progress = (struct lm_train_progress){
        .step = count_of(value, "step"),
        .steps = count_of(value, "steps"),
        .tokens = count_of(value, "tokens"),
        .loss = number_of(value, "loss"),
        .valid_loss = number_of(value, "valid_loss"),
        .best_valid_loss = number_of(value, "best"),
        .learning_rate = number_of(value, "learning_rate"),
        .tokens_per_s = number_of(value, "tokens_per_s"),
        .eta_s = number_of(value, "eta_s"),
    };
    job->progress_known = true;
    json_decref(value);
}

/* The end of a file, as much as fits. */
static size_t tail_read(const char *path, char dst[TAIL_BYTES])
{
    FILE *file = fopen(path, "rbe");
    size_t len = 0;
    if (file == NULL)
        return 0;
    if (fseek(file, -TAIL_BYTES, SEEK_END) == 0 || fseek(file, 0, SEEK_SET) == 0)
        len = fread(dst, 1, TAIL_BYTES, file);
    (void)fclose(file);
    return len;
}

static bool ends_line(char c)
{
    return c == '\n' || c == '\r';
}

/* The last line of its log that says something. */
void service_job_why(const struct barista *barista, struct barista_job *job)
{
    char path[SERVICE_PATH_BYTES], tail[TAIL_BYTES];
    (void)snprintf(job->why, sizeof(job->why), "it ended without a word");
    if (!service_job_path(barista, job->job_id, "log", path, sizeof(path)))
        return;
    size_t end = tail_read(path, tail);
    while (end > 0 && ends_line(tail[end - 1]))
        end--;
    size_t begin = end;
    while (begin > 0 && !ends_line(tail[begin - 1]))
        begin--;
    struct str line = {tail + begin, end - begin};
    line = str_slice(line, 0, sizeof(job->why) - 1);
    if (line.len > 0 && utf8_valid(line) && str_copy(job->why, sizeof(job->why), line) != ERR_OK)
        (void)snprintf(job->why, sizeof(job->why), "its log cannot be read");
}
