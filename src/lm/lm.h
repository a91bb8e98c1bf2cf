/* lm: language models on a CPU: tokenizer, transformer, training, checkpoints, sampling, quantised
 * decode.
 *
 * Promises: one architecture in three sizes (lm_config_named), the numbers of an independent
 * reference within 1e-4 forward and 1e-3 in gradients; the same result with one thread and with
 * many; a checkpoint is whole or absent, and training goes on from it bit for bit; what comes from
 * a file or from a guest is checked and answered, never asserted; nothing here ends the process.
 *
 * Knows nothing of coffee: what to say and what is true is barista's business.
 *
 * Threads: a struct is used by one thread at a time unless its comment says otherwise. */
#ifndef AUTOMAT_LM_H
#define AUTOMAT_LM_H

#include "base/base.h"
#include "sys/sys.h"

/* What was wrong with a file or a request, in a sentence that a person can act on. */
struct lm_fault {
    char why[256];
    size_t at_byte; /* in the file or text, where that makes sense */
};

/* ---- configuration (design section 6) ---- */

#define LM_LAYERS_MAX  64
#define LM_EXPERTS_MAX 64
#define LM_VOCAB_MAX   32768
#define LM_CONTEXT_MAX 8192
#define LM_HIDDEN_MAX  4096

enum lm_norm {
    LM_NORM_PRE,  /* x += f(LN x) */
    LM_NORM_POST, /* x = LN(x + f(x)) */
};

struct lm_config {
    char name[32];     /* "tanka", "villanelle", "ode", or a name of one's own */
    uint32_t hidden;   /* h */
    uint32_t layers;   /* L */
    uint32_t heads;    /* query heads; head dim = h / heads, may be odd */
    uint32_t kv_heads; /* divides heads */
    uint32_t ffn;      /* width of the dense layer or of one expert (gated) */
    uint32_t experts;  /* 0: dense */
    uint32_t top_k;    /* experts a token */
    uint32_t domains;  /* learned domain embeddings a layer */
    uint32_t context;  /* positions */
    uint32_t vocab;    /* rows of the embedding: capacity */
    uint32_t
        vocab_used; /* rows that the tokenizer uses: logits are computed over these; 1..vocab */
    float rope_theta, norm_eps;
    float dropout, dropout_attention; /* training only */
    float aux;                        /* weight of the load-balancing loss */
    enum lm_norm norm;
};

/* "tanka", "villanelle", "ode"; false for any other name.  vocab_used = vocab = 30,000. */
bool lm_config_named(struct str name, struct lm_config *ret_config);
/* Bounds above, divisibility, finite numbers.  ERR_INPUT with the field's name in `why`. */
MUST_USE enum err lm_config_check(const struct lm_config *config, struct lm_fault *fault);

struct lm_count {
    uint64_t total;  /* parameters in the file */
    uint64_t active; /* of these, used for one token */
};
struct lm_count lm_config_count(const struct lm_config *config);

/* config.json with Hugging Face's names (design section 6) plus ours: "domains", "vocab_used",
 * "norm", "router_aux_loss_coef".  Unknown fields are ignored, as others write them.  ERR_INPUT,
 * ERR_IO, ERR_NOT_FOUND. */
MUST_USE enum err lm_config_read(const char *path, struct lm_fault *fault,
                                 struct lm_config *ret_config);
MUST_USE enum err lm_config_write(const struct lm_config *config, const char *path);

/* ---- tokenizer: byte-level BPE, tokenizer.json in the Hugging Face layout ---- */

/* Ids 0..15 are these in every vocabulary of ours, then the 256 bytes, then the merges in order. */
enum lm_special {
    LM_PAD,           /* <|pad|> */
    LM_BEGIN,         /* <|begin|>     a dialogue begins */
    LM_END,           /* <|end|>       the assistant has finished */
    LM_SYSTEM,        /* <|system|>    who speaks, which machine, what time of day */
    LM_FACTS,         /* <|facts|>     retrieved rows */
    LM_USER,          /* <|user|> */
    LM_ASSISTANT,     /* <|assistant|> */
    LM_RECIPE,        /* <|recipe|>    a recipe follows as JSON */
    LM_CLASSIFY,      /* <|classify|>  a text to be classified */
    LM_SUMMARIZE,     /* <|summarize|> a text to be summarised */
    LM_SPECIALS = 16, /* the rest are reserved: <|reserved10|> .. */
};

struct lm_tokenizer; /* immutable after it is made: any thread */

/* Learns merges from the bytes that `next` hands out (a borrowed slice until the following call;
 * false: no more) until `vocab` ids exist or no pair occurs twice.  Deterministic. */
MUST_USE enum err lm_tokenizer_train(bool (*next)(void *cookie, struct str *ret_text), void *cookie,
                                     uint32_t vocab, struct lm_tokenizer **ret_tokenizer);
/* ERR_INPUT with what and where; foreign files are taken when they are byte-level BPE. */
MUST_USE enum err lm_tokenizer_read(const char *path, struct lm_fault *fault,
                                    struct lm_tokenizer **ret_tokenizer);
MUST_USE enum err lm_tokenizer_parse(struct str json, struct lm_fault *fault,
                                     struct lm_tokenizer **ret_tokenizer);
MUST_USE enum err lm_tokenizer_write(const struct lm_tokenizer *tokenizer, const char *path);
void lm_tokenizer_destroy(struct lm_tokenizer *tokenizer);         /* NULL does nothing */
uint32_t lm_tokenizer_vocab(const struct lm_tokenizer *tokenizer); /* ids in use */
/* Any bytes; the text of a special token is plain text here, so a guest cannot forge one.  ERR_FULL
 * (with `*ret_count` = ids_max) when there are more ids than fit. */
MUST_USE enum err lm_tokenizer_encode(const struct lm_tokenizer *tokenizer, struct str text,
                                      uint16_t *ids, size_t ids_max, size_t *ret_count);
/* The bytes of one id (borrowed from the tokenizer); empty for specials and ids out of range.
 * Decoding a text is concatenation: lossless on any bytes, and a piece may end inside a UTF-8
 * sequence. */
struct str lm_tokenizer_bytes(const struct lm_tokenizer *tokenizer, uint32_t id);

/* ---- a model for inference ---- */

enum lm_dtype {
    LM_F32,
    LM_BF16,
    LM_INT8, /* symmetric, a scale per row and group */
    LM_INT4, /* symmetric, groups of 64; embedding and logits int8 */
};
const char *lm_dtype_name(enum lm_dtype dtype); /* "f32", "bf16", "int8", "int4" */
bool lm_dtype_parse(struct str text, enum lm_dtype *ret_dtype);

struct lm_pool; /* threads that share one piece of work; used by one caller at a time */
/* `threads` in all, the caller's own included: 1 makes none; 0: one a core, at most 16. */
MUST_USE enum err lm_pool_create(uint32_t threads, struct lm_pool **ret_pool);
void lm_pool_destroy(struct lm_pool *pool);
uint32_t lm_pool_threads(const struct lm_pool *pool);

struct lm_model; /* weights as the decode kernels want them; immutable after load: any thread */

struct lm_model_options {
    enum lm_dtype dtype; /* what to compute with; a quantised file cannot be loaded as more */
    bool as_stored;      /* take the dtype that the file has */
};
/* DIR holds config.json and model.safetensors (f32, bf16, or our quantised tensors).  Maps the
 * file; every tensor's name, shape and range is checked first.  ERR_INPUT, ERR_NOT_FOUND, ERR_IO,
 * ERR_NOMEM. */
MUST_USE enum err lm_model_load(const char *dir, const struct lm_model_options *options,
                                struct lm_fault *fault, struct lm_model **ret_model);
void lm_model_destroy(struct lm_model *model);
const struct lm_config *lm_model_config(const struct lm_model *model);
enum lm_dtype lm_model_dtype(const struct lm_model *model);
uint64_t
lm_model_bytes(const struct lm_model *model); /* read once a token by decode, for rooflines */
/* The layers' and embedding's weights in DIR's f32/bf16 file -> a quantised file in `to_dir` (made;
 * config.json, tokenizer.json and the rest are copied).  Only used vocabulary rows are stored. */
MUST_USE enum err lm_model_quantise(const char *from_dir, const char *to_dir, enum lm_dtype dtype,
                                    struct lm_fault *fault);

/* ---- a session: one text under way, with its keys and values ---- */

struct lm_session;
MUST_USE enum err lm_session_create(const struct lm_model *model, struct lm_session **ret_session);
void lm_session_destroy(struct lm_session *session);
uint32_t lm_session_length(const struct lm_session *session); /* ids held */
/* Keep the first `keep` ids, forget the rest (no work). */
void lm_session_rewind(struct lm_session *session, uint32_t keep);
/* How many ids at the front of `ids` are already held (and everything after them is forgotten):
 * what a cached prompt saves.  At most count - 1, so that there is something left to feed. */
uint32_t lm_session_reuse(struct lm_session *session, const uint16_t *ids, uint32_t count);
/* Append ids; `ret_logits` (vocab_used floats, may be NULL) are those after the last.  ERR_FULL
 * when the context would overflow (nothing is appended), ERR_INPUT for an id that is not in use. */
MUST_USE enum err lm_session_feed(struct lm_session *session, struct lm_pool *pool,
                                  const uint16_t *ids, uint32_t count, float *ret_logits);
/* Append ids and sum the log-probabilities of ids[1..] and, when something was held, of ids[0]
 * (natural log). */
MUST_USE enum err lm_session_score(struct lm_session *session, struct lm_pool *pool,
                                   const uint16_t *ids, uint32_t count, double *ret_logprob);

/* ---- choosing the next id ---- */

struct lm_sampling {
    float temperature; /* 0: greedy */
    uint32_t top_k;    /* 0: no limit */
    float top_p;       /* 0 or 1: no limit */
    float min_p;       /* 0: no limit */
    float repetition;  /* 0 or 1: none; > 1 makes ids of the last 256 less likely */
    uint64_t seed;     /* same seed, same text */
};
MUST_USE enum err lm_sampling_check(const struct lm_sampling *sampling, struct lm_fault *fault);
/* generation.json, what suits a model: sampling under Hugging Face's names (repetition_penalty; the
 * seed is not in it), and how long a prompt it was taught with. */
struct lm_generation {
    bool has_sampling;           /* the file names a field of it; what it leaves out is 0 */
    struct lm_sampling sampling; /* when it has one */
    uint32_t prompt_max;         /* ids of a prompt; positions behind were seldom or never trained.
                                    0: as the context allows */
};
/* ERR_NOT_FOUND: there is none; ERR_INPUT with the field. */
MUST_USE enum err lm_generation_read(const char *path, struct lm_fault *fault,
                                     struct lm_generation *ret_generation);
MUST_USE enum err lm_generation_write(const struct lm_generation *generation, const char *path);

/* A JSON schema (object of known properties in the order given; integer/number with minimum,
 * maximum, multipleOf; enum and const of strings; boolean; fixed arrays) as an automaton over
 * bytes: whatever is sampled under it parses and obeys the schema, also when max_tokens is near (as
 * long as it was enough for the shortest such text at one id a byte).  Properties that `required`
 * does not name may be left out; without `required` all are written.  A keyword it does not know is
 * ERR_INPUT, by name.  Immutable: any thread; the tokenizer outlives it. */
struct lm_mask;
MUST_USE enum err lm_mask_create(struct str schema_json, const struct lm_tokenizer *tokenizer,
                                 struct lm_fault *fault, struct lm_mask **ret_mask);
void lm_mask_destroy(struct lm_mask *mask);

/* ---- the engine: texts for many callers on threads of its own ---- */

struct lm_engine;

struct lm_engine_options {
    uint32_t threads;      /* 0: one a core, at most 4 */
    uint32_t queue_max;    /* 0: 32 requests waiting; more is ERR_FULL */
    uint32_t sessions_max; /* 0: 8 texts kept for their prompts, a model */
    /* Called from an engine thread when lm_engine_collect has something to do. */
    void (*notify)(void *cookie);
    void *cookie;
};
MUST_USE enum err lm_engine_create(const struct lm_engine_options *options,
                                   struct lm_engine **ret_engine);
/* Cancels what runs (their done is called by this, with ERR_CLOSED), joins the threads. */
void lm_engine_destroy(struct lm_engine *engine);

enum lm_finish {
    LM_FINISH_STOP,   /* LM_END or a stop string */
    LM_FINISH_LENGTH, /* max_tokens, or the context is full */
    LM_FINISH_CANCEL,
};
struct lm_result {
    enum lm_finish finish;
    uint32_t prompt_ids, cached_ids, made_ids;
    double prompt_ms, decode_ms, queued_ms;
    double logprob;       /* of what was made, natural log */
    const double *scores; /* of `choices`, as many; borrowed until done returns */
    uint32_t score_count;
};
struct lm_request; /* opaque; owned by the engine until done was called */

struct lm_job {
    const struct lm_model *model; /* outlives the request */
    const struct lm_tokenizer *tokenizer;
    const uint16_t *prompt; /* copied */
    uint32_t prompt_count;  /* at least 1 */
    uint32_t max_tokens;    /* 0: as the context allows */
    struct lm_sampling sampling;
    const struct str *stop; /* copied; at most 8 of at most 64 bytes */
    uint32_t stop_count;
    uint32_t choice_count;      /* at most 256 */
    const struct lm_mask *mask; /* or NULL; outlives the request */
    /* Instead of making text: score each of these continuations of the prompt (copied). */
    const struct str *choices;
    int64_t deadline_ms; /* sys_mono_ms; 0: none.  Ends with what there is, LM_FINISH_LENGTH */
    /* Both on the thread that calls lm_engine_collect, `piece` any number of times (whole UTF-8
     * characters; never bytes of a stop string), then `done` once.  `err`: ERR_OK, ERR_CLOSED,
     * ERR_INPUT (prompt too long for the context), ERR_NOMEM. */
    void (*piece)(void *cookie, struct str text);
    void (*done)(void *cookie, enum err err, const struct lm_result *result);
    void *cookie;
};
/* Any thread.  ERR_FULL: the queue is full, nothing was begun. */
MUST_USE enum err lm_engine_submit(struct lm_engine *engine, const struct lm_job *job,
                                   struct lm_request **ret_request);
/* No piece after this; done is still called, with LM_FINISH_CANCEL.  Same thread as collect. */
void lm_engine_cancel(struct lm_engine *engine, struct lm_request *request);
/* Calls what is due.  One thread only, usually the loop's. */
void lm_engine_collect(struct lm_engine *engine);
struct lm_engine_load {
    uint32_t waiting, running;
    uint64_t requests, refused, ids_made, ids_read, ids_cached;
};
struct lm_engine_load lm_engine_load(struct lm_engine *engine);
/* Drops the sessions kept for this model: before lm_model_destroy, once its requests are done. */
void lm_engine_forget(struct lm_engine *engine, const struct lm_model *model);

/* ---- training ---- */

/* Token files: a header, then 16-bit ids, little-endian, dialogue after dialogue (each begins with
 * LM_BEGIN).  A token with this bit is context only: predicting it is not scored. */
#define LM_TOKEN_QUIET 0x8000u

struct lm_tokens; /* a token file, mapped */
MUST_USE enum err lm_tokens_open(const char *path, struct lm_fault *fault,
                                 struct lm_tokens **ret_tokens);
void lm_tokens_close(struct lm_tokens *tokens);
uint64_t lm_tokens_count(const struct lm_tokens *tokens);
uint32_t lm_tokens_vocab(const struct lm_tokens *tokens); /* every id is below it */
const uint16_t *lm_tokens_at(const struct lm_tokens *tokens);
struct lm_tokens_writer;
MUST_USE enum err lm_tokens_writer_create(const char *path, uint32_t vocab_used,
                                          struct lm_tokens_writer **ret_writer);
MUST_USE enum err lm_tokens_writer_add(struct lm_tokens_writer *writer, const uint16_t *ids,
                                       size_t count);
/* Writes the header, syncs, renames into place; frees the writer in any case. */
MUST_USE enum err lm_tokens_writer_finish(struct lm_tokens_writer *writer);
void lm_tokens_writer_destroy(struct lm_tokens_writer *writer); /* leaves no file */

enum lm_schedule { LM_SCHEDULE_COSINE, LM_SCHEDULE_LINEAR };
enum lm_precision {
    LM_PRECISION_F32,
    LM_PRECISION_BF16, /* operands of matrix products rounded to bf16, sums in f32 */
};

struct lm_train_progress {
    uint64_t step, steps;
    uint64_t tokens; /* seen */
    double loss, valid_loss, best_valid_loss, learning_rate, grad_norm, tokens_per_s;
    double eta_s;
    bool validated; /* valid_loss is of this step */
};

struct lm_train_options {
    struct lm_config config;
    const char *train_path, *valid_path; /* token files */
    const char *tokenizer_path;          /* copied beside each checkpoint */
    const char *out_dir; /* last/ and best/ (checkpoints), metrics.csv, loss.svg, progress.json */
    double epochs;       /* passes over the training tokens; fractions allowed */
    uint64_t steps_max;  /* 0: as epochs say */
    uint32_t batch, length; /* 0: 8 x 256 tokens a micro-step */
    uint32_t accumulate;    /* 0: 1 micro-step a step */
    double learning_rate;   /* 0: 6e-4 */
    double weight_decay;    /* < 0: 0.01 */
    double warmup;          /* share of the steps; < 0: 0.02 */
    double clip;            /* 0: 1.0 */
    double dropout;         /* < 0: the configuration's */
    enum lm_schedule schedule;
    enum lm_precision precision;
    uint64_t seed;
    uint32_t threads;        /* 0: one a core */
    uint32_t validate_every; /* steps; 0: twenty times in all */
    uint32_t save_every;     /* steps; 0: with each validation */
    uint32_t patience;       /* validations without improvement; 0: 3; UINT32_MAX: never */
    bool resume;             /* from out_dir/last when it is there */
    /* Any may be NULL.  Called on the training thread. */
    void (*progress)(void *cookie, const struct lm_train_progress *progress);
    bool (*stop)(void *cookie); /* true: save and come back with LM_TRAIN_STOPPED */
    void *cookie;
};
enum lm_train_end {
    LM_TRAIN_DONE,
    LM_TRAIN_EARLY,   /* no better for `patience` validations */
    LM_TRAIN_STOPPED, /* stop said so; resume goes on */
    LM_TRAIN_NAN,     /* the loss was not a number: the last good checkpoint is kept */
};
/* A row of a batch holds whole dialogues one after another, none of which sees another; one that is
 * longer than a row is cut into pieces that overlap.  out_dir NULL: nothing is written (tuning).
 * valid_path NULL: nothing is held out, best/ is the newest.  ERR_INPUT: options or token files;
 * also a checkpoint of another run, named in `fault`.  ERR_CONFLICT: another training is at work in
 * out_dir, or a run is there and `resume` is not set.  ERR_IO and the like while saving: the
 * checkpoint before it is kept. */
MUST_USE enum err lm_train(const struct lm_train_options *options, struct lm_fault *fault,
                           enum lm_train_end *ret_end, struct lm_train_progress *ret_last);

/* Mean loss (nats a scored token) of a model directory over a token file, through the kernels that
 * serve.  Dialogues are cut at the context.  tokens_max 0: the whole file, else whole dialogues up
 * to there. */
MUST_USE enum err lm_loss(const char *dir, const char *tokens_path, uint64_t tokens_max,
                          enum lm_dtype dtype, uint32_t threads, struct lm_fault *fault,
                          double *ret_loss, uint64_t *ret_scored);

/* What this CPU offers and what was chosen, for logs and benches: "avx512-vnni". */
const char *lm_isa_name(void);
/* For tests and comparisons: at most this instruction set ("plain", "neon", "avx2", "avx512", ...);
 * false when this CPU or build lacks it.  Before anything else is made. */
bool lm_isa_limit(struct str name);

#endif
