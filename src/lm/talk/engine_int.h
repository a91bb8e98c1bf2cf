/* engine: many texts on a few threads.
 *
 *     waiting --a session is free--> ready --a thread takes it--> stepping --> ready ... --> over
 *        |                             |                             |                       |
 *        +--- cancelled, late ---------+-----------------------------+--> over --collect--> gone
 *
 * `waiting` is bounded by queue_max; `ready` is a ring: each turn reads a piece of the prompt or
 * makes a few ids and goes to the back, so that a long text does not hold up a short one.  A text
 * that is alone is computed by all threads together (the shared pool); as soon as there are two, a
 * thread works on one.
 *
 * The lock guards the lists, the slots, `fresh` and the places.  While a request is `stepping` the
 * rest of it belongs to that thread, and so does its slot; once it is `over`, to who collects. */
#ifndef AUTOMAT_LM_ENGINE_INT_H
#define AUTOMAT_LM_ENGINE_INT_H

#include "lm/talk/talk_int.h"

#include <pthread.h>

#define LM_THREADS_MAX 4U
#define LM_SLOTS_MAX   64U
#define LM_CHOICES_MAX 256U

/* What a model must be able to do; tests bring one of their own. */
struct lm_engine_ops {
    const struct lm_config *(*config)(const struct lm_model *model);
    enum err (*create)(const struct lm_model *model, struct lm_session **ret_session);
    void (*destroy)(struct lm_session *session);
    void (*rewind)(struct lm_session *session, uint32_t keep);
    enum err (*feed)(struct lm_session *session, struct lm_pool *pool, const uint16_t *ids,
                     uint32_t count, float *ret_logits);
    enum err (*score)(struct lm_session *session, struct lm_pool *pool, const uint16_t *ids,
                      uint32_t count, double *ret_logprob);
    int64_t (*now_ms)(void); /* against which deadlines are held */
};
MUST_USE enum err lm_engine_create_with(const struct lm_engine_options *options,
                                        const struct lm_engine_ops *ops,
                                        struct lm_engine **ret_engine);

/* A session and what it holds, kept for the next text that begins alike. */
struct lm_slot {
    const struct lm_model *model; /* NULL: free */
    struct lm_session *session;   /* NULL: not made yet */
    uint16_t *ids;                /* context of them */
    uint32_t count;
    bool busy;
    uint64_t used; /* when, in requests */
};

enum lm_place { LM_WAITING, LM_READY, LM_STEPPING, LM_OVER };
enum lm_phase { LM_PHASE_BEGIN, LM_PHASE_PROMPT, LM_PHASE_DECODE, LM_PHASE_SCORE };

struct lm_request {
    struct lm_request *next;     /* in waiting or ready */
    struct lm_request *next_due; /* in due */
    enum lm_place place;
    bool is_due;
    atomic_bool cancelled;
    struct lm_job job; /* its slices point into `choice_bytes` and `prompt` */
    uint16_t *prompt;
    char *choice_bytes;
    struct str *choices;
    double *scores;
    struct lm_emit emit;
    struct lm_sampler sampler;
    struct lm_slot *slot;
    enum lm_phase phase;
    uint32_t at;        /* ids of the prompt that are read */
    uint32_t limit;     /* ids that may be made */
    uint32_t choice_at; /* choices that are scored */
    uint32_t mask_state;
    uint16_t last; /* made, not read yet */
    int64_t submit_us, begin_us, decode_us;
    struct buf fresh; /* text for collect */
    enum err err;
    struct lm_result result;
};

/* A thread's own memory. */
struct lm_worker {
    struct lm_engine *engine;
    pthread_t thread;
    struct lm_pick pick;
    float *logits;
    uint32_t logits_max;
    uint64_t mask_words[(LM_VOCAB_MAX + 63) / 64];
    uint16_t ids[LM_CONTEXT_MAX];
    struct buf text;
};

struct lm_list {
    struct lm_request *first, *last;
    uint32_t count;
};

struct lm_engine {
    const struct lm_engine_ops *ops;
    void (*notify)(void *cookie);
    void *cookie;
    uint32_t threads, queue_max, sessions_max;
    pthread_mutex_t lock;
    pthread_cond_t work;
    atomic_bool closing;
    bool pool_taken;
    bool collecting;      /* the collecting thread's own */
    struct lm_pool *pool; /* NULL with one thread */
    struct lm_list waiting, ready;
    uint32_t stepping;
    struct lm_request *due_first, *due_last;
    struct lm_slot slots[LM_SLOTS_MAX];
    uint64_t used;
    struct lm_engine_load load;
    uint32_t worker_count; /* threads that were started */
    struct lm_worker *workers;
};

/* One turn of a request (engine_step.c): true when it is over, with err and result set. */
bool lm_request_step(struct lm_worker *worker, struct lm_request *request, struct lm_pool *pool);
/* Text for the caller, and the bell; takes the lock itself. */
MUST_USE enum err lm_engine_publish(struct lm_engine *engine, struct lm_request *request,
                                    struct str text);

/* engine_job.c */
MUST_USE enum err lm_request_create(const struct lm_job *job, const struct lm_engine_ops *ops,
                                    struct lm_request **ret_request);
void lm_request_destroy(struct lm_request *request);

/* engine_slots.c; with the lock held. */
struct lm_slot *lm_slot_take(struct lm_engine *engine, const struct lm_request *request);
void lm_slot_give(struct lm_engine *engine, struct lm_slot *slot);
void lm_slots_finish(struct lm_engine *engine, const struct lm_model *model); /* NULL: all */

#endif
