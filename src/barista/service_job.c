/* Training jobs: one process at a time, seen to every second, and what is known of it kept in
 * memory and in job.json.
 *
 *     running -> complete | failed      the process ended by itself
 *     running -> cancelled              it was told to save and stop, and ended
 *     running -> interrupted            the server ended, or ended before
 */
#include "barista/service_int.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#define CANCEL_MS  120000 /* a step and a checkpoint fit in */
#define CLOSE_MS   3000   /* what a stopping server waits */
#define DATA_BYTES 512

const char *barista_job_state_name(enum barista_job_state state)
{
    static const char *const names[] = {"running", "complete", "cancelled", "failed",
                                        "interrupted"};
    return (size_t)state < ARRAY_COUNT(names) ? names[state] : "failed";
}

static struct service_job *job_find(const struct barista *barista, uint64_t job_id)
{
    for (size_t i = 0; i < barista->job_count; i++) {
        if (barista->job[i]->job.job_id == job_id)
            return barista->job[i];
    }
    return NULL;
}

static struct service_job *job_running(const struct barista *barista)
{
    for (size_t i = 0; i < barista->job_count; i++) {
        if (barista->job[i]->pid != 0)
            return barista->job[i];
    }
    return NULL;
}

/* In order of numbers; the oldest gives way. */
static enum err job_keep(struct barista *barista, const struct barista_job *job)
{
    if (barista->job_count == SERVICE_JOBS_MAX) {
        if (job->job_id < barista->job[0]->job.job_id)
            return ERR_OK;
        mem_free(barista->job[0]);
        barista->job_count--;
        for (size_t i = 0; i < barista->job_count; i++)
            barista->job[i] = barista->job[i + 1];
    }
    struct service_job *kept = mem_zalloc(sizeof(*kept));
    if (kept == NULL)
        return ERR_NOMEM;
    kept->job = *job;
    size_t at = barista->job_count;
    for (; at > 0 && barista->job[at - 1]->job.job_id > job->job_id; at--)
        barista->job[at] = barista->job[at - 1];
    barista->job[at] = kept;
    barista->job_count++;
    return ERR_OK;
}

/* ---- at the start and the end of the server ---- */

static enum err job_open(struct barista *barista, uint64_t job_id)
{
    struct barista_job job;
    enum err err = service_job_read(barista, job_id, &job);
    if (err == ERR_INPUT || err == ERR_NOT_FOUND || err == ERR_FULL)
        return ERR_OK; /* no job of ours */
    if (err != ERR_OK)
        return err;
    if (job.state == BARISTA_JOB_RUNNING) {
        job.state = BARISTA_JOB_INTERRUPTED;
        job.ended_at_ms = loop_wall_ms(barista->loop);
        err = service_job_write(barista, &job);
    }
    return err == ERR_OK ? job_keep(barista, &job) : err;
}

enum err service_jobs_open(struct barista *barista)
{
    DIR *dir = opendir(barista->jobs_dir);
    enum err err = ERR_OK;
    if (dir == NULL)
        return errno == ENOENT ? ERR_OK : ERR_IO;
    for (struct dirent *entry = readdir(dir); entry != NULL && err == ERR_OK;
         entry = readdir(dir)) {
        uint64_t job_id;
        if (str_to_u64(str_from(entry->d_name), &job_id) == ERR_OK && job_id > 0)
            err = job_open(barista, job_id);
    }
    (void)closedir(dir);
    return err;
}

static bool ended(struct service_job *job, int *ret_status)
{
    pid_t got = waitpid(job->pid, ret_status, WNOHANG);
    if (got == job->pid)
        return true;
    *ret_status = -1;
    return got < 0 && errno == ECHILD;
}

/* Before its first step there is nothing to save, and nobody listens. */
static void job_stop(const struct barista *barista, struct service_job *job)
{
    service_job_progress(barista, &job->job);
    (void)kill(job->pid, job->job.progress_known ? SIGTERM : SIGKILL);
}

void service_jobs_close(struct barista *barista)
{
    struct service_job *job = job_running(barista);
    int status = 0;
    if (job != NULL) {
        job_stop(barista, job);
        bool over = ended(job, &status);
        for (int waited = 0; waited < CLOSE_MS && !over; waited += 20) {
            (void)nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
            over = ended(job, &status);
        }
        if (!over) {
            (void)kill(job->pid, SIGKILL);
            (void)waitpid(job->pid, &status, 0);
        }
        job->job.state = BARISTA_JOB_INTERRUPTED;
        job->job.ended_at_ms = loop_wall_ms(barista->loop);
        enum err err = service_job_write(barista, &job->job);
        if (err != ERR_OK)
            log_line(LOG_WARN, "job_not_written", "err", "%s", err_name(err), NULL);
    }
    for (size_t i = 0; i < barista->job_count; i++)
        mem_free(barista->job[i]);
    barista->job_count = 0;
}

/* ---- as time passes ---- */

static void job_end(struct barista *barista, struct service_job *job, int status, int64_t wall_ms)
{
    job->pid = 0;
    service_job_progress(barista, &job->job);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        job->job.state = job->job.cancelling ? BARISTA_JOB_CANCELLED : BARISTA_JOB_COMPLETE;
    else
        job->job.state = job->job.cancelling ? BARISTA_JOB_CANCELLED : BARISTA_JOB_FAILED;
    if (job->job.state == BARISTA_JOB_FAILED && WIFSIGNALED(status))
        (void)snprintf(job->job.why, sizeof(job->job.why), "it was ended by signal %d",
                       WTERMSIG(status));
    else if (job->job.state == BARISTA_JOB_FAILED)
        service_job_why(barista, &job->job);
    job->job.cancelling = false;
    job->job.ended_at_ms = wall_ms;
    enum err err = service_job_write(barista, &job->job);
    log_line(job->job.state == BARISTA_JOB_FAILED ? LOG_WARN : LOG_INFO, "job", "job_id", "%llu",
             (unsigned long long)job->job.job_id, "model", "%s", job->job.model, "state", "%s",
             barista_job_state_name(job->job.state), "written", "%s", err_name(err), NULL);
}

void barista_tick(struct barista *barista, int64_t wall_ms)
{
    struct service_job *job = job_running(barista);
    int status = 0;
    if (job == NULL)
        return;
    if (ended(job, &status))
        job_end(barista, job, status, wall_ms);
    else if (job->kill_mono_ms != 0 && sys_mono_ms() > job->kill_mono_ms)
        (void)kill(job->pid, SIGKILL);
}

/* ---- what people ask for ---- */

/* Before another begins: what it takes to go on with a job, and the data it learned from, is not
 * kept any more; what it learned is, of the newest few.  job.json and the log stay. */
static void jobs_slim(const struct barista *barista)
{
    static const char *const folders[] = {"last", "data", "best"};
    char path[SERVICE_PATH_BYTES];
    for (size_t i = 0; i < barista->job_count; i++) {
        bool is_old = i + SERVICE_JOBS_BEST <= barista->job_count;
        for (size_t j = 0; j < ARRAY_COUNT(folders) - (is_old ? 0 : 1); j++) {
            if (service_job_path(barista, barista->job[i]->job.job_id, folders[j], path,
                                 sizeof(path)))
                service_folder_remove(path);
        }
    }
}

enum err barista_train_start(struct barista *barista, const struct barista_train *train,
                             struct lm_fault *fault, uint64_t *ret_job_id)
{
    char path[SERVICE_PATH_BYTES], data[SERVICE_PATH_BYTES];
    struct barista_job job = {
        .state = BARISTA_JOB_RUNNING, .epochs = train->epochs, .begun_at_ms = train->at_ms};
    fault->why[0] = 0;
    if (barista->jobs_dir[0] == 0)
        return ERR_CLOSED;
    barista_tick(barista, train->at_ms); /* who ended just now is no reason */
    if (service_model_find(barista, train->model) == NULL) {
        service_fault(fault, "model: there is none of this name");
        return ERR_NOT_FOUND;
    }
    enum err err = service_data_path(barista, train->data_path, fault, data);
    if (err != ERR_OK)
        return err;
    struct service_job *running = job_running(barista);
    if (running != NULL) {
        *ret_job_id = running->job.job_id;
        return ERR_CONFLICT;
    }
    job.job_id = barista->job_count > 0 ? barista->job[barista->job_count - 1]->job.job_id + 1 : 1;
    if (str_copy(job.model, sizeof(job.model), train->model) != ERR_OK ||
        str_copy(job.data_path, sizeof(job.data_path), str_from(data)) != ERR_OK ||
        !service_job_path(barista, job.job_id, "", path, sizeof(path))) {
        service_fault(fault, "data_path: it is too long");
        return ERR_NOT_FOUND;
    }
    jobs_slim(barista);
    err = dir_make(path, 0700);
    if (err == ERR_OK)
        err = service_job_write(barista, &job);
    if (err == ERR_OK)
        err = job_keep(barista, &job);
    if (err != ERR_OK)
        return err;
    struct service_job *kept = job_find(barista, job.job_id);
    err = service_job_spawn(barista, train, data, job.job_id, &kept->pid);
    if (err != ERR_OK) {
        kept->pid = 0;
        kept->job.state = BARISTA_JOB_FAILED;
        kept->job.ended_at_ms = train->at_ms;
        (void)snprintf(kept->job.why, sizeof(kept->job.why), "the trainer could not be started");
        enum err written = service_job_write(barista, &kept->job);
        return written == ERR_OK ? err : written;
    }
    *ret_job_id = job.job_id;
    return ERR_OK;
}

enum err barista_train_get(struct barista *barista, uint64_t job_id, struct barista_job *ret_job)
{
    struct service_job *job = job_find(barista, job_id);
    if (job == NULL)
        return ERR_NOT_FOUND;
    service_job_progress(barista, &job->job);
    *ret_job = job->job;
    return ERR_OK;
}

uint64_t barista_train_before(const struct barista *barista, uint64_t before_id)
{
    for (size_t i = barista->job_count; i > 0; i--) {
        uint64_t job_id = barista->job[i - 1]->job.job_id;
        if (before_id == 0 || job_id < before_id)
            return job_id;
    }
    return 0;
}

enum err barista_train_cancel(struct barista *barista, uint64_t job_id)
{
    struct service_job *job = job_find(barista, job_id);
    if (job == NULL)
        return ERR_NOT_FOUND;
    if (job->pid == 0)
        return ERR_CONFLICT;
    if (job->job.cancelling)
        return ERR_OK;
    job->job.cancelling = true;
    job->kill_mono_ms = sys_mono_ms() + CANCEL_MS;
    job_stop(barista, job);
    return ERR_OK;
}
