/* A lane's thread: take what waits, run it as a group, hand it to the loop. */
#include "store/store_int.h"

#include <signal.h>

/* With the mutex held: up to `max` jobs, in order, as a list of their own. */
struct store_job *store_lane_take(struct store_lane *lane, uint32_t max)
{
    struct store_job *head = lane->head;
    struct store_job *last = head;
    if (head == NULL)
        return NULL;
    for (uint32_t i = 1; i < max && last->next != NULL; i++)
        last = last->next;
    lane->head = last->next;
    if (lane->head == NULL)
        lane->tail = NULL;
    last->next = NULL;
    return head;
}

void store_dones_add(struct store *store, struct store_job *head)
{
    if (store->done_tail == NULL)
        store->done_head = head;
    else
        store->done_tail->next = head;
    while (head->next != NULL)
        head = head->next;
    store->done_tail = head;
}

static void *lane_main(void *argument)
{
    struct store_lane *lane = argument;
    struct store *store = lane->store;
    pthread_mutex_lock(&store->mutex);
    for (;;) {
        while (lane->head == NULL && !store->closing)
            pthread_cond_wait(&lane->changed, &store->mutex);
        struct store_job *head = store->dropping ? NULL : store_lane_take(lane, lane->group_max);
        if (head == NULL)
            break;
        pthread_mutex_unlock(&store->mutex);
        pthread_mutex_lock(&lane->db_lock);
        store_group_run(lane, head);
        pthread_mutex_unlock(&lane->db_lock);
        pthread_mutex_lock(&store->mutex);
        store_dones_add(store, head);
        loop_wake_post(store->wake);
    }
    pthread_mutex_unlock(&store->mutex);
    return NULL;
}

enum err store_lane_start(struct store_lane *lane)
{
    /* Signals belong to the loop's thread: it is the one that turns SIGTERM into an orderly end. */
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int code = pthread_create(&lane->thread, NULL, lane_main, lane);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    lane->running = code == 0;
    return lane->running ? ERR_OK : ERR_NOMEM;
}

void store_lane_stop(struct store_lane *lane)
{
    if (!lane->running)
        return;
    pthread_mutex_lock(&lane->store->mutex);
    pthread_cond_signal(&lane->changed);
    pthread_mutex_unlock(&lane->store->mutex);
    pthread_join(lane->thread, NULL);
    lane->running = false;
}
