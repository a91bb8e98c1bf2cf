#include "app/child.h"
#include "app/places.h"
#include "sys/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAUSE_MS_MIN 500
#define PAUSE_MS_MAX 30000
#define STEADY_MS    60000 /* who lived so long has not failed at the start */
#define ENVIRON_MAX  512

static char *keep(struct child *child, const char *text)
{
    size_t bytes = strlen(text) + 1;
    ASSERT(child->text_len + bytes <= sizeof(child->text));
    char *at = child->text + child->text_len;
    memcpy(at, text, bytes);
    child->text_len += bytes;
    return at;
}

void child_init(struct child *child, const char *name)
{
    char program[512];
    *child = (struct child){.name = name, .pause_ms = PAUSE_MS_MIN};
    const char *path = places_program(program, sizeof(program));
    child->argument[child->argument_count++] = keep(child, path != NULL ? path : "automat");
}

void child_argument(struct child *child, const char *name, const char *value)
{
    ASSERT(child->argument_count + 2 <= CHILD_ARGUMENTS_MAX);
    child->argument[child->argument_count++] = keep(child, name);
    if (value != NULL)
        child->argument[child->argument_count++] = keep(child, value);
}

void child_secret(struct child *child, const char *name, const char *value)
{
    char pair[512];
    (void)snprintf(pair, sizeof(pair), "%s=%s", name, value);
    child->secret = keep(child, pair);
}

/* Ours without the admin token, and with its own secret. */
static void environment(const struct child *child, char *parent, char *out[ENVIRON_MAX])
{
    size_t count = 0;
    for (char **at = environ; *at != NULL && count < ENVIRON_MAX - 3; at++) {
        if (strncmp(*at, "AUTOMAT_ADMIN_TOKEN=", 20) != 0)
            out[count++] = *at;
    }
    out[count++] = parent;
    if (child->secret != NULL)
        out[count++] = child->secret;
    out[count] = NULL;
}

static int spawn(struct child *child)
{
    char parent[64];
    char *variables[ENVIRON_MAX];
    posix_spawn_file_actions_t files;
    (void)snprintf(parent, sizeof(parent), "AUTOMAT_TWIN_PARENT=%ld", (long)getpid());
    environment(child, parent, variables);
    int code = posix_spawn_file_actions_init(&files);
    if (code != 0)
        return code;
    /* Our stdout has one line on it, and that is ours. */
    code = posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (code == 0)
        code = posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    if (code == 0)
        code = posix_spawn(&child->pid, "/proc/self/exe", &files, NULL, child->argument, variables);
    (void)posix_spawn_file_actions_destroy(&files);
    return code;
}

static void reap(struct child *child, int64_t now_ms)
{
    int status = 0;
    if (child->pid == 0 || waitpid(child->pid, &status, WNOHANG) != child->pid)
        return;
    child->pid = 0;
    if (now_ms - child->begun_ms > STEADY_MS)
        child->pause_ms = PAUSE_MS_MIN;
    child->due_ms = now_ms + child->pause_ms;
    log_line(LOG_WARN, "twin_ended", "name", "%s", child->name, "status", "%d",
             WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status), "again_in_ms", "%lld",
             (long long)child->pause_ms, NULL);
    child->pause_ms = 2 * child->pause_ms < PAUSE_MS_MAX ? 2 * child->pause_ms : PAUSE_MS_MAX;
}

void child_beat(struct child *child, int64_t now_ms)
{
    if (child->name == NULL || child->stopping)
        return;
    reap(child, now_ms);
    if (child->pid != 0 || now_ms < child->due_ms)
        return;
    int code = spawn(child);
    child->begun_ms = now_ms;
    if (code == 0)
        return;
    child->pid = 0;
    child->due_ms = now_ms + PAUSE_MS_MAX;
    log_line(LOG_ERROR, "twin_not_started", "name", "%s", child->name, "why", "%s", strerror(code),
             NULL);
}

void child_stop(struct child *child)
{
    if (child->name == NULL || child->stopping)
        return;
    child->stopping = true;
    if (child->pid != 0)
        (void)kill(child->pid, SIGTERM);
}

void child_finish(struct child *child)
{
    if (child->pid == 0)
        return;
    for (int i = 0; i < 100; i++) {
        pid_t ended = waitpid(child->pid, NULL, WNOHANG);
        if (ended == child->pid || (ended < 0 && errno == ECHILD))
            return;
        (void)nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    }
    (void)kill(child->pid, SIGKILL);
    (void)waitpid(child->pid, NULL, 0);
}
