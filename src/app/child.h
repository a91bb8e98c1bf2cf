/* child: this same program, once more, as a process that is started again when it ends. */
#ifndef AUTOMAT_APP_CHILD_H
#define AUTOMAT_APP_CHILD_H

#include "base/base.h"

#include <sys/types.h>

#define CHILD_ARGUMENTS_MAX 24
#define CHILD_TEXT_BYTES    4096

struct child {
    const char *name; /* NULL: not used */
    char text[CHILD_TEXT_BYTES];
    size_t text_len;
    char *argument[CHILD_ARGUMENTS_MAX + 1];
    size_t argument_count;
    char *secret; /* "NAME=VALUE" for the environment, where other users do not see it */
    pid_t pid;    /* 0: not running */
    int64_t begun_ms, due_ms;
    int64_t pause_ms; /* before the next start */
    bool stopping;
};

/* `name` for the log; lives on. */
void child_init(struct child *child, const char *name);
/* Copied; `value` may be NULL. */
void child_argument(struct child *child, const char *name, const char *value);
void child_secret(struct child *child, const char *name, const char *value);
/* Starts it when it does not run and its pause is over.  Now and then. */
void child_beat(struct child *child, int64_t now_ms);
/* SIGTERM. */
void child_stop(struct child *child);
/* Waits for its end; SIGKILL after two seconds.  At the very end: it blocks. */
void child_finish(struct child *child);

#endif
