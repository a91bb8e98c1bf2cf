/* barista: what the assistant knows and how it is asked: facts and their retrieval, prompts,
 * recipes that the machine's own rules accept, the dialogues that the models learn from, and the
 * judgement of what they learned.
 *
 * Promises: every fact in an answer's prompt is a row that can be shown; the prompt a model is
 * trained on and the prompt it is asked with are made by the same function; a recipe it makes
 * passes the same checks as a person's; a model that is not trained is never asked.
 *
 * Facts, corpus and judgement are pure (no loop): any thread.  The service is the loop thread's. */
#ifndef AUTOMAT_BARISTA_H
#define AUTOMAT_BARISTA_H

#include "base/base.h"
#include "lm/lm.h"
#include "loop/loop.h"
#include "sys/sys.h"

/* ---- facts: tables of rows (corpus/facts/ *.csv), immutable after load ---- */

struct barista_facts;

struct barista_row {
    struct str table; /* "capsules", "trouble", ... */
    struct str id;    /* unique in its table: what an answer cites */
    struct str text;  /* one line, as it stands in a prompt: "name: Amaro; system: original; ..." */
    double score;     /* of this retrieval */
};
/* ERR_INPUT with file, line and column in `fault`. */
MUST_USE enum err barista_facts_load(const char *corpus_dir, struct lm_fault *fault,
                                     struct barista_facts **ret_facts);
void barista_facts_destroy(struct barista_facts *facts);
size_t barista_facts_count(const struct barista_facts *facts);

#define BARISTA_ROWS_MAX 6
/* The rows nearest to the question (and to the last turns, weaker), best first; none when nothing
 * fits well enough, which is how "I don't know" begins.  Deterministic.  Borrowed from `facts`. */
size_t barista_retrieve(const struct barista_facts *facts, struct str question, struct str before,
                        struct barista_row *ret_rows, size_t rows_max);

/* ---- a dialogue and its prompt ---- */

enum barista_role { BARISTA_SYSTEM, BARISTA_FACTS, BARISTA_USER, BARISTA_ASSISTANT };
struct barista_turn {
    enum barista_role role;
    struct str text;
    bool recipe; /* an assistant's turn that is a recipe in JSON (LM_RECIPE stands before it) */
};
enum barista_task { BARISTA_CHAT, BARISTA_CLASSIFY, BARISTA_SUMMARIZE, BARISTA_TEXT };

/* The system turn: who speaks, which machine stands there ("original", "vertuo" or empty), which
 * part of the day (hour 0..23; < 0: not known). */
MUST_USE enum err barista_system_text(struct str model, struct str machine_system, int hour,
                                      struct buf *ret_text);

/* Turns of a prompt out of what was said (user and assistant turns only): the system turn, and
 * before each user turn the rows retrieved for it that no earlier turn shows.  `ret_rows` (room for
 * BARISTA_ROWS_MAX) are those of the last user turn, shown before or not.  `facts` may be NULL: no
 * rows.  Texts are borrowed or from `scratch`; needs room for 2 * count + 1 turns (ERR_FULL).
 * When barista_prompt has to leave out old turns their rows go with them: call this again without
 * those messages, and the rows that are still needed are shown anew. */
MUST_USE enum err barista_turns(const struct barista_facts *facts, struct str system,
                                const struct barista_turn *messages, size_t count,
                                struct arena *scratch, struct barista_turn *ret_turns,
                                size_t turns_max, size_t *ret_count, struct barista_row *ret_rows,
                                size_t *ret_row_count);

/* Ids of a prompt, up to and with the mark after which the model speaks.  Old turns are left out,
 * oldest first, until at least `room` ids are free in `context`; the system turn and the last user
 * turn stay.  ERR_FULL when these alone do not fit.  Used for training and for asking alike.  An
 * empty assistant turn at the end is where the model is to speak; with `recipe` set the mark
 * LM_RECIPE stands there too. */
MUST_USE enum err barista_prompt(const struct lm_tokenizer *tokenizer, enum barista_task task,
                                 const struct barista_turn *turns, size_t count, uint32_t context,
                                 uint32_t room, uint16_t *ids, size_t ids_max, size_t *ret_count);

struct barista_space {
    uint32_t context, room; /* as barista_prompt has them */
    uint32_t taught;        /* how long a prompt the model was taught with; 0: any */
};
/* As barista_prompt for a chat, and old turns are left out until the prompt has at most `taught`
 * ids.  A last question that is longer by itself is asked alone, and may be as long as fits. */
MUST_USE enum err barista_prompt_taught(const struct lm_tokenizer *tokenizer,
                                        const struct barista_turn *turns, size_t count,
                                        const struct barista_space *space, uint16_t *ids,
                                        size_t ids_max, size_t *ret_count);

/* ---- classes: corpus/classes.csv ---- */

#define BARISTA_FACETS_MAX 8
struct barista_facet {
    struct str name; /* "coffee_type", "brewing_method", "intent", "roast", "problem" */
    const struct str *label;
    size_t label_count; /* the last is "none" */
};
size_t barista_facets(const struct barista_facts *facts, const struct barista_facet **ret_facets);
/* A classification's answer is the labels in the order of the facets, "espresso, none, price, ...".
 * To score facet i: prompt = barista_prompt(BARISTA_CLASSIFY) + ids of the earlier facets' leads
 * and choices + ids of barista_class_lead(i), each encoded for itself; choices =
 * barista_class_choice of each label. */
struct str barista_class_lead(size_t facet);
MUST_USE enum err barista_class_choice(size_t facet, struct str label, struct buf *ret_text);
/* A score's log-probabilities over a facet's labels to confidences that sum to 1. */
void barista_class_confidence(const double *logprob, size_t count, double temperature,
                              double *ret_confidence);
/* The temperature fitted on valid dialogues, from MODEL_DIR/calibration.json; 1 without the file.
 */
double barista_calibration_read(const char *model_dir);
#define BARISTA_LABELS_MAX 16
struct barista_judged { /* one facet of one text: scores of its labels, and which is right */
    double logprob[BARISTA_LABELS_MAX];
    size_t count, right;
};
double barista_calibration_fit(const struct barista_judged *judged, size_t count);
MUST_USE enum err barista_calibration_write(const char *model_dir, double temperature,
                                            size_t judged);

/* ---- recipes ---- */

/* JSON schema of a brew recipe for a machine that takes "original" or "vertuo" capsules, made from
 * machine/ espresso's own table of limits. */
MUST_USE enum err barista_recipe_schema(struct str system, char *dst, size_t dst_bytes);
/* The machine's own rules on a recipe in JSON; ERR_REFUSED with the rule's name in `fault`. */
MUST_USE enum err barista_recipe_check(struct str json, struct lm_fault *fault);

/* ---- the corpus: dialogues made from tables, phrasings and a seed ---- */

enum barista_split { BARISTA_TRAIN, BARISTA_VALID, BARISTA_TEST };
/* What a dialogue's last answer must contain to be right; checked without a model. */
struct barista_label {
    struct str template_id; /* held out whole between splits */
    struct str slots[8];    /* exact values that the answer must hold: names, numbers with units */
    size_t slot_count;
    bool refuses;                           /* outside the domain or not in the rows: must say so */
    bool recipe;                            /* must be a valid recipe */
    struct str classes[BARISTA_FACETS_MAX]; /* BARISTA_CLASSIFY: one a facet */
};
struct barista_dialogue {
    enum barista_task task;
    struct barista_turn turns[32]; /* ends with the assistant */
    size_t turn_count;
    struct barista_label label;
};
struct barista_corpus;
struct barista_corpus_options {
    struct str model; /* whose persona: "tanka", "villanelle", "ode" */
    enum barista_split split;
    uint64_t seed;
};
/* `facts` is kept by the caller.  Reads corpus/phrases/. */
MUST_USE enum err barista_corpus_create(const char *corpus_dir, const struct barista_facts *facts,
                                        const struct barista_corpus_options *options,
                                        struct lm_fault *fault, struct barista_corpus **ret_corpus);
void barista_corpus_destroy(struct barista_corpus *corpus);
/* The next dialogue, without end; from `scratch`.  The same seed, the same dialogues. */
MUST_USE enum err barista_corpus_next(struct barista_corpus *corpus, struct arena *scratch,
                                      struct barista_dialogue *ret_dialogue);
/* Its ids for training; what only the guest and the tables say is LM_TOKEN_QUIET. */
MUST_USE enum err barista_dialogue_ids(const struct lm_tokenizer *tokenizer,
                                       const struct barista_dialogue *dialogue, uint16_t *ids,
                                       size_t ids_max, size_t *ret_count);

/* What a person would read; also the tokenizer's training text. */
MUST_USE enum err barista_dialogue_text(const struct barista_dialogue *dialogue, struct buf *ret);

/* ---- without a model ---- */

/* Retrieval and a fixed sentence: the baseline that a model must beat. */
MUST_USE enum err barista_plain_answer(const struct barista_facts *facts, struct str question,
                                       struct str before, struct buf *ret_answer);

/* The same for the last question of a dialogue and the rows that its prompt shows, real or
 * invented; the last turn is the answer and is not looked at. */
MUST_USE enum err barista_plain_dialogue(const struct barista_facts *facts,
                                         const struct barista_dialogue *dialogue,
                                         struct buf *ret_answer);

/* ---- questions written by hand: corpus/paraphrases.csv ---- */

struct barista_paraphrases;
MUST_USE enum err barista_paraphrases_load(const char *corpus_dir, struct lm_fault *fault,
                                           struct barista_paraphrases **ret_set);
void barista_paraphrases_destroy(struct barista_paraphrases *set);
size_t barista_paraphrases_count(const struct barista_paraphrases *set);
/* With the rows that are retrieved for it, as when asked for real; its last turn is an empty
 * answer.  Borrows from `set`, `facts` and `scratch`. */
MUST_USE enum err barista_paraphrases_at(const struct barista_paraphrases *set, size_t row,
                                         const struct barista_facts *facts, struct str model,
                                         struct arena *scratch,
                                         struct barista_dialogue *ret_dialogue);

/* ---- judgement ---- */

#define BARISTA_BINS 10

struct barista_score {
    /* shares, by barista_score_end */
    double slot_exact;    /* share of slots found in the answer */
    double all_exact;     /* share of dialogues with every slot */
    double unsupported;   /* share of answers with a name or number that no row in the prompt has */
    double refusal_right; /* share of must-refuse that refused */
    double refusal_wrong; /* share of others that refused */
    double recipe_valid;  /* share of recipes that the machine's rules accept */
    double class_right;   /* share of facets */
    double class_calibration; /* expected calibration error, 10 bins */
    /* what they are shares of */
    uint32_t dialogues, slots, slots_found, slotted, slotted_all, answers, answers_unsupported;
    uint32_t must_refuse, must_refuse_did, must_not_refuse, must_not_refuse_did;
    uint32_t recipes, recipes_valid, classes, classes_found, judged;
    double bin_confidence[BARISTA_BINS], bin_right[BARISTA_BINS];
};
/* Scores one answer into running sums; `barista_score_end` makes shares of them. */
void barista_score_add(const struct barista_dialogue *dialogue, struct str answer,
                       struct barista_score *sums);
/* One facet that was answered with this confidence. */
void barista_score_class(double confidence, bool right, struct barista_score *sums);
void barista_score_end(struct barista_score *sums);
/* Where a share lies with 95 %: Wilson's interval. */
void barista_interval(uint32_t part, uint32_t whole, double *ret_low, double *ret_high);
/* Whether the answer says that it does not know. */
bool barista_refuses(struct str answer);
/* Whether it has a name or number that nothing before it in the dialogue has. */
bool barista_unsupported(const struct barista_dialogue *dialogue, struct str answer);
/* Whether `part` stands in the text as a whole word or number, case aside. */
bool barista_says(struct str text, struct str part);

/* ---- the service: models by name, on the engine's threads ---- */

struct barista;
struct barista_options {
    struct loop *loop;
    const char *models_dir; /* models/tanka/config.json ... ; missing ones are "not trained" */
    const char *corpus_dir; /* facts; NULL or missing: no retrieval */
    const char *data_dir;   /* training jobs are kept in data_dir/models/jobs; NULL: no training */
    const char *program;    /* that trains: PROGRAM lm train ...; NULL: this one */
    uint32_t threads;       /* of the engine; 0: one a core, at most 4 */
    uint32_t queue_max;     /* 0: 32 questions waiting */
    uint32_t deadline_s;    /* 0: 120; an answer ends then with what there is */
};
/* Loads what is there.  A model that cannot be loaded, or facts that cannot be read, are no failure
 * here: barista_models and barista_facts_why say what is wrong.  The texts of `options` are copied.
 */
MUST_USE enum err barista_create(const struct barista_options *options,
                                 struct barista **ret_barista);
/* Whoever still waits hears nothing more.  A job that trains is stopped. */
void barista_destroy(struct barista *barista); /* NULL does nothing */
/* NULL: facts are there; else why not. */
const char *barista_facts_why(const struct barista *barista);

struct barista_model_info {
    struct str name; /* tanka, villanelle, ode */
    bool trained;
    bool summarizes;
    enum lm_dtype dtype;
    uint64_t parameters, file_bytes;
    uint32_t context, vocab;
    int64_t loaded_at_ms;
    const struct lm_generation *generation; /* what its folder says; NULL: not trained */
    const char *why; /* when not trained: "no file", or what is wrong with it */
    struct str card; /* card.json beside the weights, an object in JSON; or none */
};
#define BARISTA_MODELS_MAX 8
size_t barista_models(const struct barista *barista,
                      struct barista_model_info ret_infos[BARISTA_MODELS_MAX]);
bool barista_model_find(const struct barista *barista, struct str name,
                        struct barista_model_info *ret_info);
/* Look again at models_dir/NAME (after training, or when staff put a file there).  `done` (or NULL)
 * once, later; requests under way finish on the old weights, and those stay when the new ones
 * cannot be loaded.  ERR_NOT_FOUND, ERR_CONFLICT: one is under way; through done as lm_model_load.
 */
MUST_USE enum err barista_reload(struct barista *barista, struct str name,
                                 void (*done)(void *cookie, enum err err,
                                              const struct lm_fault *fault),
                                 void *cookie);

enum barista_ask_kind {
    BARISTA_ASK_GENERATE,
    BARISTA_ASK_CHAT,
    BARISTA_ASK_SUMMARIZE,
    BARISTA_ASK_CLASSIFY
};
struct barista_ask {
    enum barista_ask_kind kind;
    struct str model;                 /* as the caller named it */
    struct str text;                  /* prompt, or what to summarise or classify */
    const struct barista_turn *turns; /* chat: system, user and assistant turns */
    size_t turn_count;
    bool recipe;               /* chat: the answer is a recipe under the schema */
    struct str machine_system; /* of that recipe; empty: original */
    struct str schema;         /* chat: the answer is JSON under this schema; empty: free */
    uint32_t max_tokens;       /* 0: 128 */
    struct lm_sampling sampling;
    const struct str *stop;
    uint32_t stop_count;
};
struct barista_class {
    struct str facet, label;
    double confidence; /* calibrated */
};
struct barista_answer {
    struct str text; /* whole */
    const struct lm_result *result;
    const struct barista_row *rows; /* what the prompt held */
    size_t row_count;
    const struct barista_class *classes; /* classify */
    size_t class_count;
    double confidence; /* classify: of the intent */
};
struct barista_wait; /* one question under way */
/* Begins; later and exactly once `done` (after any number of `piece`, NULL allowed), on the loop;
 * what `ask` points to is copied.  ERR_NOT_FOUND: no such model; ERR_CLOSED: it is not trained;
 * ERR_REFUSED: it does not do this (tanka does not summarise); ERR_FULL: the queue is full;
 * ERR_INPUT: `fault` says what, the name of the field before a colon; ERR_NOMEM. */
MUST_USE enum err
barista_begin(struct barista *barista, const struct barista_ask *ask, struct lm_fault *fault,
              void (*piece)(void *cookie, struct str text),
              void (*done)(void *cookie, enum err err, const struct barista_answer *answer),
              void *cookie, struct barista_wait **ret_wait);
/* The caller left: no piece and no done after this. */
void barista_cancel(struct barista_wait *wait);

struct barista_stats {
    struct lm_engine_load load;
    uint64_t refused;   /* begun while the queue was full */
    uint64_t cancelled; /* whoever asked had left */
    uint32_t under_way;
    uint32_t models; /* trained */
    bool training;
};
struct barista_stats barista_stats_get(const struct barista *barista);

/* ---- training jobs: `automat lm train` as a process of its own, one at a time ----
 *
 * A job's folder is data_dir/models/jobs/ID: job.json, log, and what the trainer writes
 * (progress.json, best/, last/).  No job outlives the server: one that ran when the server ended is
 * "interrupted" after the next start. */

enum barista_job_state {
    BARISTA_JOB_RUNNING,
    BARISTA_JOB_COMPLETE,
    BARISTA_JOB_CANCELLED,
    BARISTA_JOB_FAILED,
    BARISTA_JOB_INTERRUPTED,
};
const char *barista_job_state_name(enum barista_job_state state); /* "running", "complete", ... */

struct barista_train {
    struct str model;     /* tanka, villanelle, ode */
    struct str data_path; /* a folder inside corpus_dir or data_dir; empty: corpus_dir */
    double epochs;
    uint32_t steps, batch, length; /* 0: as epochs say; the trainer's own */
    uint64_t seed;
    int64_t at_ms;
};
struct barista_job {
    uint64_t job_id;
    enum barista_job_state state;
    bool cancelling; /* running, but told to save and stop */
    char model[32], data_path[512];
    double epochs;
    int64_t begun_at_ms, ended_at_ms; /* 0: it runs */
    bool progress_known;
    struct lm_train_progress progress; /* as the trainer wrote last */
    char why[256];                     /* of a failure */
};
/* ERR_CONFLICT: a job runs, `*ret_job_id` is its number.  ERR_NOT_FOUND: no such model, or no such
 * folder (the field's name stands before a colon in `fault`); ERR_DENIED: the folder lies outside;
 * ERR_CLOSED: this server does not train; ERR_IO: the job's folder cannot be written. */
MUST_USE enum err barista_train_start(struct barista *barista, const struct barista_train *train,
                                      struct lm_fault *fault, uint64_t *ret_job_id);
/* Reads the job's progress.  ERR_NOT_FOUND. */
MUST_USE enum err barista_train_get(struct barista *barista, uint64_t job_id,
                                    struct barista_job *ret_job);
/* The newest job below `before_id` (0: the newest of all); 0: none. */
uint64_t barista_train_before(const struct barista *barista, uint64_t before_id);
/* Asks it to save and stop.  ERR_NOT_FOUND; ERR_CONFLICT: it does not run. */
MUST_USE enum err barista_train_cancel(struct barista *barista, uint64_t job_id);
/* Whether a process ended; about every second. */
void barista_tick(struct barista *barista, int64_t wall_ms);

/* ---- what was learned, into the models' folder ---- */

/* Copies the best weights of the model's newest job, or those that are served when no job has any,
 * into models_dir/NAME, whole or not at all; `dtype` (NULL: as they are) quantises on the way.
 * NAME: `path` is a name, alone or behind "models/", or a whole path that leads to such a name.
 * When it is a model's, it is loaded again.  ERR_NOT_FOUND: no such model; ERR_CLOSED: there are no
 * weights; ERR_DENIED: the path leads elsewhere or to something that is no model; ERR_CONFLICT:
 * another is being saved.  Through done also what copying gives; `path` is what was written. */
MUST_USE enum err barista_save(struct barista *barista, struct str model, struct str path,
                               const enum lm_dtype *dtype, struct lm_fault *fault,
                               void (*done)(void *cookie, enum err err,
                                            const struct lm_fault *fault, const char *path),
                               void *cookie);

#endif
