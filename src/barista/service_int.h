/* Inside barista: what the files of the service share. */
#ifndef AUTOMAT_BARISTA_SERVICE_INT_H
#define AUTOMAT_BARISTA_SERVICE_INT_H

#include "barista/barista.h"

#include <sys/types.h>

#define SERVICE_MODELS       3
#define SERVICE_PATH_BYTES   1024
#define SERVICE_CARD_BYTES   (64 * KIB)
#define SERVICE_JOBS_MAX     64 /* remembered; older ones stay on disk, unseen */
#define SERVICE_JOBS_BEST    8  /* whose weights are kept, the one that begins included */
#define SERVICE_ANSWER_MAX   (256 * KIB)
#define SERVICE_SYSTEMS      2 /* of recipes: original, vertuo */
#define SERVICE_THIS_PROGRAM "/proc/self/exe"

/* Weights as they were loaded once: whoever asks holds a reference, so that a newer load does not
 * take them away. */
struct service_weights {
    uint32_t refs;
    struct lm_model *model;
    struct lm_tokenizer *tokenizer;
    struct lm_generation generation;         /* zeros when its folder says nothing */
    struct lm_mask *recipe[SERVICE_SYSTEMS]; /* made when first needed */
    double temperature;                      /* what scores of classes are divided by */
    uint64_t file_bytes;
    int64_t loaded_at_ms;
    struct buf card; /* card.json as it is, or empty */
};
/* Reads a model's folder.  Any thread. */
MUST_USE enum err service_weights_load(const char *dir, const char *name, struct lm_fault *fault,
                                       struct service_weights **ret_weights);
void service_weights_unref(struct service_weights *weights); /* loop thread; NULL does nothing */

struct service_load;
struct service_model {
    const char *name;
    bool summarizes;
    struct service_weights *weights; /* NULL: not trained */
    char why[256];
    struct service_load *load; /* under way */
};

/* An engine keeps texts of the models it worked with.  So newer weights come with a new engine; the
 * old one ends when its last question is answered. */
struct service_engine {
    struct service_engine *next;
    struct lm_engine *engine;
    uint32_t waits;
};

struct service_job {
    struct barista_job job;
    pid_t pid; /* 0: does not run */
    int64_t kill_mono_ms;
};

struct service_save;
struct barista {
    struct loop *loop;
    char models_dir[SERVICE_PATH_BYTES], corpus_dir[SERVICE_PATH_BYTES];
    char data_dir[SERVICE_PATH_BYTES], jobs_dir[SERVICE_PATH_BYTES], program[SERVICE_PATH_BYTES];
    uint32_t threads, queue_max, deadline_s;
    struct loop_wake *wake;
    struct service_engine *engines; /* the first is the one that takes questions */
    struct barista_facts *facts;
    char facts_why[320];
    struct service_model model[SERVICE_MODELS];
    struct barista_wait *waits;
    uint32_t wait_count;
    bool ending;
    uint64_t refused, cancelled;
    struct lm_engine_load past;                /* of engines that ended */
    struct service_save *save;                 /* under way */
    struct service_job *job[SERVICE_JOBS_MAX]; /* by number, ascending */
    size_t job_count;
};

struct service_model *service_model_find(struct barista *barista, struct str name);
/* The first engine, made when there is none. */
MUST_USE enum err service_engine_get(struct barista *barista, struct service_engine **ret_engine);
/* Ends engines that nobody waits for, but for the first. */
void service_engines_sweep(struct barista *barista);

struct barista_wait {
    struct barista_wait *prev, *next;
    struct barista *barista;
    struct service_engine *engine;
    struct service_weights *weights;
    struct lm_request *request;
    struct lm_mask *mask; /* of this question alone, or NULL */
    void (*piece)(void *cookie, struct str text);
    void (*done)(void *cookie, enum err err, const struct barista_answer *answer);
    void *cookie;
    struct buf text;
    enum err text_err;
    bool left; /* whoever asked is not there any more */
    struct barista_row row[BARISTA_ROWS_MAX];
    size_t row_count;
    /* classify */
    size_t facet; /* that is being asked */
    struct barista_class class[BARISTA_FACETS_MAX];
    uint16_t *ids;
    uint32_t id_count, id_max;
    struct lm_result sum; /* of the facets together */
};
void service_wait_free(struct barista_wait *wait);
/* Calls done, unless whoever asked has left, and frees. */
void service_wait_answer(struct barista_wait *wait, enum err err, const struct lm_result *result);
/* The prompt of `ask` into wait->ids; retrieves what it needs. */
MUST_USE enum err service_prompt(struct barista_wait *wait, const struct barista_ask *ask,
                                 uint32_t room, struct lm_fault *fault);
MUST_USE enum err service_submit(struct barista_wait *wait, struct lm_job *job);
MUST_USE enum err service_classify_next(struct barista_wait *wait);

/* Saving holds a copy of what it needs; without its barista it ends unheard. */
void service_save_leave(struct service_save *save);
/* A folder of plain files that this room or its trainer made; none does nothing. */
void service_folder_remove(const char *path);

MUST_USE enum err service_jobs_open(struct barista *barista);
void service_jobs_close(struct barista *barista);
MUST_USE enum err service_job_write(const struct barista *barista, const struct barista_job *job);
MUST_USE enum err service_job_read(const struct barista *barista, uint64_t job_id,
                                   struct barista_job *ret_job);
void service_job_progress(const struct barista *barista, struct barista_job *job);
void service_job_why(const struct barista *barista, struct barista_job *job); /* from its log */
/* The folder that `given` means, inside corpus_dir or data_dir.  ERR_NOT_FOUND, ERR_DENIED. */
MUST_USE enum err service_data_path(const struct barista *barista, struct str given,
                                    struct lm_fault *fault, char dst[SERVICE_PATH_BYTES]);
/* The name and the place that `given` means in the models' folder.  ERR_DENIED. */
MUST_USE enum err service_save_path(const struct barista *barista, struct str given,
                                    struct lm_fault *fault, char name[64],
                                    char dst[SERVICE_PATH_BYTES]);
MUST_USE enum err service_job_spawn(struct barista *barista, const struct barista_train *train,
                                    const char *data_path, uint64_t job_id, pid_t *ret_pid);
/* "DIR/FILE" of a job; false: too long. */
MUST_USE bool service_job_path(const struct barista *barista, uint64_t job_id, const char *file,
                               char *dst, size_t dst_bytes);

/* "A/B"; false: too long. */
MUST_USE bool service_join(char *dst, size_t dst_bytes, const char *a, const char *b);
void service_fault(struct lm_fault *fault, const char *format, ...) PRINTF_LIKE(2, 3);

#endif
