/* Weights into the models' folder: copied beside their place, then exchanged with what is there, so
 * that there is always a whole model under the name. */
#include "barista/service_int.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define COPY_BYTES (256 * KIB)

struct service_save {
    struct loop_job job;
    struct barista *barista; /* NULL: it ended meanwhile */
    struct service_model *model;
    char name[64];
    char from[SERVICE_PATH_BYTES], beside[SERVICE_PATH_BYTES], to[SERVICE_PATH_BYTES];
    bool quantise, loading;
    enum lm_dtype dtype;
    struct lm_fault fault;
    enum err err;
    void (*done)(void *cookie, enum err err, const struct lm_fault *fault, const char *path);
    void *cookie;
};

static enum err failed(struct lm_fault *fault, const char *what, const char *path)
{
    enum err err = errno == ENOENT                     ? ERR_NOT_FOUND
                   : errno == EACCES || errno == EROFS ? ERR_DENIED
                                                       : ERR_IO;
    service_fault(fault, "%.200s cannot be %s", path, what);
    return err;
}

/* ---- files ---- */

static enum err bytes_copy(int from, int to)
{
    char *bytes = mem_alloc(COPY_BYTES);
    enum err err = bytes == NULL ? ERR_NOMEM : ERR_OK;
    while (err == ERR_OK) {
        ssize_t got = read(from, bytes, COPY_BYTES);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            err = got < 0 ? ERR_IO : ERR_OK;
            break;
        }
        for (ssize_t put = 0; put < got && err == ERR_OK;) {
            ssize_t one = write(to, bytes + put, (size_t)(got - put));
            if (one < 0 && errno != EINTR)
                err = ERR_IO;
            put += one > 0 ? one : 0;
        }
    }
    if (err == ERR_OK && fsync(to) != 0)
        err = ERR_IO;
    mem_free(bytes);
    return err;
}

static enum err file_copy(const char *from, const char *to, struct lm_fault *fault)
{
    int in = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (in < 0)
        return failed(fault, "read", from);
    int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (out < 0) {
        (void)close(in);
        return failed(fault, "written", to);
    }
    enum err err = bytes_copy(in, out);
    (void)close(in);
    if (close(out) != 0 && err == ERR_OK)
        err = ERR_IO;
    if (err == ERR_IO)
        service_fault(fault, "%.200s cannot be written whole", to);
    return err;
}

/* The plain files of a model's folder: links and folders stay where they are. */
static enum err folder_copy(const char *from, const char *to, struct lm_fault *fault)
{
    char source[SERVICE_PATH_BYTES], target[SERVICE_PATH_BYTES];
    struct stat about;
    DIR *dir = opendir(from);
    if (dir == NULL)
        return failed(fault, "read", from);
    enum err err = ERR_OK;
    for (struct dirent *entry = readdir(dir); entry != NULL && err == ERR_OK;
         entry = readdir(dir)) {
        if (entry->d_name[0] == '.' || !service_join(source, sizeof(source), from, entry->d_name) ||
            !service_join(target, sizeof(target), to, entry->d_name) ||
            lstat(source, &about) != 0 || !S_ISREG(about.st_mode))
            continue;
        err = file_copy(source, target, fault);
    }
    (void)closedir(dir);
    return err;
}

/* A folder of plain files that this room made. */
void service_folder_remove(const char *path)
{
    char file[SERVICE_PATH_BYTES];
    DIR *dir = opendir(path);
    if (dir == NULL)
        return;
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        bool here = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
        if (!here && service_join(file, sizeof(file), path, entry->d_name))
            (void)unlink(file);
    }
    (void)closedir(dir);
    (void)rmdir(path);
}

static enum err folder_sync(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return ERR_IO;
    enum err err = fsync(fd) == 0 ? ERR_OK : ERR_IO;
    (void)close(fd);
    return err;
}

/* What stands there leaves as the new comes, in one step. */
static enum err folder_place(const char *from, const char *to, struct lm_fault *fault)
{
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
        return ERR_OK;
    if (errno != EEXIST)
        return failed(fault, "written", to);
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_EXCHANGE) != 0)
        return failed(fault, "replaced", to);
    service_folder_remove(from);
    return ERR_OK;
}

/* What was said to suit the model goes on to do so, unless the new weights say otherwise. */
static enum err generation_keep(const struct service_save *save, struct lm_fault *fault)
{
    char from[SERVICE_PATH_BYTES], to[SERVICE_PATH_BYTES];
    if (!service_join(from, sizeof(from), save->to, "generation.json") ||
        !service_join(to, sizeof(to), save->beside, "generation.json"))
        return ERR_INPUT;
    return path_exists(from) && !path_exists(to) ? file_copy(from, to, fault) : ERR_OK;
}

/* What cannot be loaded replaces nothing. */
static enum err weights_check(const char *dir, const char *name, struct lm_fault *fault)
{
    struct service_weights *weights = NULL;
    enum err err = service_weights_load(dir, name, fault, &weights);
    if (err == ERR_OK)
        service_weights_unref(weights);
    return err;
}

static void save_run(struct loop_job *job)
{
    struct service_save *save = (struct service_save *)(void *)job;
    struct lm_fault *fault = &save->fault;
    service_folder_remove(save->beside); /* of a save that a crash cut short */
    if (save->quantise) {
        save->err = lm_model_quantise(save->from, save->beside, save->dtype, fault);
    } else {
        save->err = dir_make(save->beside, 0700);
        if (save->err == ERR_OK)
            save->err = folder_copy(save->from, save->beside, fault);
    }
    if (save->err == ERR_OK)
        save->err = generation_keep(save, fault);
    if (save->err == ERR_OK)
        save->err = weights_check(save->beside, save->model->name, fault);
    if (save->err == ERR_OK)
        save->err = folder_sync(save->beside);
    if (save->err == ERR_OK)
        save->err = folder_place(save->beside, save->to, fault);
    if (save->err == ERR_OK) {
        char parent[SERVICE_PATH_BYTES];
        (void)snprintf(parent, sizeof(parent), "%s", save->to);
        *strrchr(parent, '/') = 0;
        save->err = folder_sync(parent);
    }
    if (save->err != ERR_OK)
        service_folder_remove(save->beside);
    if (save->err != ERR_OK && fault->why[0] == 0)
        service_fault(fault, "the models' folder cannot be written (%s)", err_name(save->err));
}

/* ---- on the loop ---- */

static void save_answer(struct service_save *save, enum err err, const struct lm_fault *fault)
{
    save->barista->save = NULL;
    log_line(err == ERR_OK ? LOG_INFO : LOG_WARN, "model_saved", "name", "%s", save->name, "err",
             "%s", err_name(err), "why", "%s", err == ERR_OK ? NULL : fault->why, NULL);
    save->done(save->cookie, err, fault, save->to);
    mem_free(save);
}

static void save_loaded(void *cookie, enum err err, const struct lm_fault *fault)
{
    save_answer(cookie, err, fault);
}

static void save_done(struct loop_job *job)
{
    struct service_save *save = (struct service_save *)(void *)job;
    struct barista *barista = save->barista;
    if (barista == NULL) {
        mem_free(save);
        return;
    }
    if (save->err == ERR_OK && service_model_find(barista, str_from(save->name)) != NULL) {
        /* A load under way may have read what was there before: then staff asks again. */
        enum err err = barista_reload(barista, str_from(save->name), save_loaded, save);
        save->loading = err == ERR_OK;
        if (save->loading)
            return;
        save->err = err;
        service_fault(&save->fault, "it was saved, but could not be loaded now (%s)",
                      err_name(err));
    }
    save_answer(save, save->err, &save->fault);
}

void service_save_leave(struct service_save *save)
{
    if (save->loading)
        mem_free(save); /* who loads does not answer any more, either */
    else
        save->barista = NULL;
}

/* The best of the newest job that has any; else what is served. */
static bool source_find(const struct barista *barista, const struct service_model *model,
                        char dst[SERVICE_PATH_BYTES])
{
    char weights[SERVICE_PATH_BYTES];
    for (size_t i = barista->job_count; i > 0; i--) {
        const struct service_job *job = barista->job[i - 1];
        if (strcmp(job->job.model, model->name) != 0 || job->pid != 0)
            continue;
        if (service_job_path(barista, job->job.job_id, "best", dst, SERVICE_PATH_BYTES) &&
            service_join(weights, sizeof(weights), dst, "model.safetensors") &&
            path_exists(weights))
            return true;
    }
    return model->weights != NULL &&
           service_join(dst, SERVICE_PATH_BYTES, barista->models_dir, model->name);
}

enum err barista_save(struct barista *barista, struct str model, struct str path,
                      const enum lm_dtype *dtype, struct lm_fault *fault,
                      void (*done)(void *cookie, enum err err, const struct lm_fault *fault,
                                   const char *path),
                      void *cookie)
{
    struct service_model *found = service_model_find(barista, model);
    char beside[80];
    fault->why[0] = 0;
    if (found == NULL) {
        service_fault(fault, "model: there is none of this name");
        return ERR_NOT_FOUND;
    }
    if (barista->models_dir[0] == 0)
        return ERR_CLOSED;
    if (barista->save != NULL)
        return ERR_CONFLICT;
    struct service_save *save = mem_zalloc(sizeof(*save));
    if (save == NULL)
        return ERR_NOMEM;
    *save = (struct service_save){.job = {.run = save_run, .done = save_done},
                                  .barista = barista,
                                  .model = found,
                                  .done = done,
                                  .cookie = cookie};
    enum err err = service_save_path(barista, path, fault, save->name, save->to);
    const struct service_model *other = service_model_find(barista, str_from(save->name));
    if (err == ERR_OK && other != NULL && other != found) {
        service_fault(fault, "path: this is the name of another model");
        err = ERR_DENIED;
    }
    if (err == ERR_OK && !source_find(barista, found, save->from))
        err = ERR_CLOSED;
    if (err == ERR_OK && strcmp(save->from, save->to) == 0 && dtype == NULL) {
        service_fault(fault, "path: these weights are there already");
        err = ERR_DENIED;
    }
    (void)snprintf(beside, sizeof(beside), ".%s.new", save->name);
    if (err == ERR_OK &&
        !service_join(save->beside, sizeof(save->beside), barista->models_dir, beside))
        err = ERR_DENIED;
    if (dtype != NULL) {
        save->quantise = true;
        save->dtype = *dtype;
    }
    if (err == ERR_OK)
        err = loop_work(barista->loop, &save->job);
    if (err != ERR_OK) {
        mem_free(save);
        return err;
    }
    barista->save = save;
    return ERR_OK;
}
