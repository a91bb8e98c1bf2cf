/* A job's process: what it is told, and what it is not. */
#include "barista/service_int.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define ARGUMENTS_MAX 24
#define TEXT_BYTES    8192
#define ENVIRON_MAX   512
#define NICE          10 /* guests before lessons */

struct argument_list {
    char text[TEXT_BYTES];
    size_t len;
    char *at[ARGUMENTS_MAX + 1];
    size_t count;
    bool full;
};

static void add(struct argument_list *list, const char *word)
{
    size_t bytes = strlen(word) + 1;
    if (list->len + bytes > sizeof(list->text) || list->count == ARGUMENTS_MAX) {
        list->full = true;
        return;
    }
    memcpy(list->text + list->len, word, bytes);
    list->at[list->count++] = list->text + list->len;
    list->at[list->count] = NULL;
    list->len += bytes;
}

static void add_number(struct argument_list *list, const char *name, uint64_t value)
{
    char number[24];
    if (value == 0)
        return;
    (void)snprintf(number, sizeof(number), "%llu", (unsigned long long)value);
    add(list, name);
    add(list, number);
}

/* What is served under this name has a shape of its own: a lesson keeps to it. */
static bool shape_is_own(const struct service_model *model)
{
    struct lm_config named;
    if (model == NULL || model->weights == NULL || !lm_config_named(str_from(model->name), &named))
        return false;
    const struct lm_config *config = lm_model_config(model->weights->model);
    return config->hidden != named.hidden || config->layers != named.layers ||
           config->heads != named.heads || config->kv_heads != named.kv_heads ||
           config->ffn != named.ffn || config->experts != named.experts;
}

static bool arguments_make(struct barista *barista, const struct barista_train *train,
                           const char *data_path, const char *out, struct argument_list *list)
{
    char model[32], folder[SERVICE_PATH_BYTES], number[32];
    if (str_copy(model, sizeof(model), train->model) != ERR_OK ||
        !service_join(folder, sizeof(folder), barista->models_dir, model))
        return false;
    (void)snprintf(number, sizeof(number), "%.6g", train->epochs);
    bool own = shape_is_own(service_model_find(barista, train->model));
    const char *const words[] = {"automat", "lm", "train", own ? "--model" : model};
    for (size_t i = 0; i < ARRAY_COUNT(words); i++)
        add(list, words[i]);
    if (own)
        add(list, folder);
    const char *const more[] = {"--data", data_path, "--out", out, "--epochs", number};
    for (size_t i = 0; i < ARRAY_COUNT(more); i++)
        add(list, more[i]);
    if (barista->corpus_dir[0] != 0) {
        add(list, "--corpus");
        add(list, barista->corpus_dir);
    }
    add_number(list, "--steps", train->steps);
    add_number(list, "--batch", train->batch);
    add_number(list, "--length", train->length);
    add_number(list, "--seed", train->seed);
    return !list->full;
}

/* Ours without what was said to this server: its secrets and its folders are not the trainer's. */
static void environment(char *out[ENVIRON_MAX])
{
    size_t count = 0;
    for (char **at = environ; *at != NULL && count < ENVIRON_MAX - 1; at++) {
        if (strncmp(*at, "AUTOMAT_", 8) != 0)
            out[count++] = *at;
    }
    out[count] = NULL;
}

/* After fork: only what a signal handler may call. */
static void become(const char *program, const char *folder, int log_fd, pid_t parent,
                   char *const *arguments, char *const *variables)
{
    sigset_t none;
    int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    /* Without its server nobody would hear of it; it must not go on alone. */
    if (prctl(PR_SET_PDEATHSIG, SIGTERM) != 0 || getppid() != parent || chdir(folder) != 0 ||
        dup2(null_fd, STDIN_FILENO) < 0 || dup2(log_fd, STDOUT_FILENO) < 0 ||
        dup2(log_fd, STDERR_FILENO) < 0)
        _exit(126);
    int ignored = nice(NICE);
    (void)ignored;
    (void)execve(program, arguments, variables);
    _exit(127);
}

enum err service_job_spawn(struct barista *barista, const struct barista_train *train,
                           const char *data_path, uint64_t job_id, pid_t *ret_pid)
{
    char folder[SERVICE_PATH_BYTES], whole[SERVICE_PATH_BYTES], log[SERVICE_PATH_BYTES];
    struct argument_list list = {.len = 0};
    char *variables[ENVIRON_MAX];
    if (!service_job_path(barista, job_id, "", folder, sizeof(folder)) ||
        !service_job_path(barista, job_id, "log", log, sizeof(log)) ||
        realpath(folder, whole) == NULL || !arguments_make(barista, train, data_path, whole, &list))
        return ERR_INPUT;
    environment(variables);
    int log_fd = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (log_fd < 0)
        return ERR_IO;
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0)
        become(barista->program, whole, log_fd, parent, list.at, variables);
    (void)close(log_fd);
    if (pid < 0)
        return errno == ENOMEM ? ERR_NOMEM : ERR_IO;
    *ret_pid = pid;
    return ERR_OK;
}
