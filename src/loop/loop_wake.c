/* Ways in from outside the loop thread: posts from other threads, and signals. */
#include "loop/loop_int.h"

struct loop_wake {
    uv_async_t uv; /* first: the close callback gets its address */
    struct loop *loop;
    struct loop_wake *prev, *next;
    void (*wake)(void *cookie);
    void *cookie;
};

struct loop_signal_watch {
    uv_signal_t uv; /* first, as above */
    struct loop_signal_watch *next;
    void (*caught)(void *cookie, int signal);
    void *cookie;
};

static void handle_closed(uv_handle_t *handle)
{
    mem_free(handle);
}

static void wake_arrived(uv_async_t *uv)
{
    struct loop_wake *wake = (struct loop_wake *)uv;
    wake->wake(wake->cookie);
}

enum err loop_wake_create(struct loop *loop, void (*wake_fn)(void *cookie), void *cookie,
                          struct loop_wake **ret_wake)
{
    struct loop_wake *wake = mem_zalloc(sizeof(*wake));
    if (wake == NULL)
        return ERR_NOMEM;
    if (uv_async_init(&loop->uv, &wake->uv, wake_arrived) != 0) {
        mem_free(wake);
        return ERR_IO;
    }
    wake->loop = loop;
    wake->wake = wake_fn;
    wake->cookie = cookie;
    wake->next = loop->wakes;
    if (loop->wakes != NULL)
        loop->wakes->prev = wake;
    loop->wakes = wake;
    *ret_wake = wake;
    return ERR_OK;
}

void loop_wake_post(struct loop_wake *wake)
{
    uv_async_send(&wake->uv);
}

void loop_wake_destroy(struct loop_wake *wake)
{
    if (wake == NULL)
        return;
    if (wake->prev != NULL)
        wake->prev->next = wake->next;
    else
        wake->loop->wakes = wake->next;
    if (wake->next != NULL)
        wake->next->prev = wake->prev;
    uv_close((uv_handle_t *)&wake->uv, handle_closed);
}

void loop_wakes_close(struct loop *loop)
{
    while (loop->wakes != NULL)
        loop_wake_destroy(loop->wakes);
}

static void signal_arrived(uv_signal_t *uv, int signal)
{
    struct loop_signal_watch *watch = (struct loop_signal_watch *)uv;
    watch->caught(watch->cookie, signal);
}

enum err loop_signal(struct loop *loop, int signal, void (*caught)(void *cookie, int signal),
                     void *cookie)
{
    struct loop_signal_watch *watch = mem_zalloc(sizeof(*watch));
    if (watch == NULL)
        return ERR_NOMEM;
    if (uv_signal_init(&loop->uv, &watch->uv) != 0) {
        mem_free(watch);
        return ERR_IO;
    }
    watch->caught = caught;
    watch->cookie = cookie;
    if (uv_signal_start(&watch->uv, signal_arrived, signal) != 0) {
        uv_close((uv_handle_t *)&watch->uv, handle_closed);
        return ERR_IO;
    }
    /* Waiting for a signal is no work: it must not keep loop_run from returning. */
    uv_unref((uv_handle_t *)&watch->uv);
    watch->next = loop->signals;
    loop->signals = watch;
    return ERR_OK;
}

void loop_signals_close(struct loop *loop)
{
    while (loop->signals != NULL) {
        struct loop_signal_watch *watch = loop->signals;
        loop->signals = watch->next;
        uv_close((uv_handle_t *)&watch->uv, handle_closed);
    }
}
