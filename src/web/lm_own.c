/* The cafe's own endpoints: /api/generate, chat, summarize, classify.  Their limits and presets are
 * one table; an unknown field is refused, a value out of its limits is named. */
#include "web/lm_int.h"

#include <stdio.h>
#include <string.h>

#define TEMPERATURE_MILLI_MAX 2000
#define TOP_K_MAX             1000
#define REPETITION_MILLI_MIN  500
#define REPETITION_MILLI_MAX  2000
#define TOP_K                 40
#define RECIPE_TOKENS_MIN     160
#define TOP_P                 0.95f
#define SEED_MAX              INT64_C(9007199254740991)

/* clang-format off */
/*                                             text field, answer, what, max_length preset and limit, temperature */
const struct lm_endpoint lm_generate =    {"prompt", "generated_text", BARISTA_ASK_GENERATE,  100, 1024, 800};
const struct lm_endpoint lm_chat =        {NULL,     "response",       BARISTA_ASK_CHAT,      256, 1024, 200};
const struct lm_endpoint lm_summarize =   {"text",   "summary",        BARISTA_ASK_SUMMARIZE, 150, 512,  200};
const struct lm_endpoint lm_classify =    {"text",   "classification", BARISTA_ASK_CLASSIFY,  1,   1,    0};
const struct lm_endpoint lm_completions = {NULL,     "content",        BARISTA_ASK_CHAT,      256, 1024, 200};
/* clang-format on */

/* ---- reading ---- */

struct lm_wish *lm_wish_make(struct web_call *call, const struct lm_endpoint *endpoint)
{
    uint64_t seed = 0;
    struct lm_wish *wish = arena_alloc(&call->scratch, sizeof(*wish));
    struct barista_turn *turn =
        arena_alloc(&call->scratch, LM_MESSAGES_MAX * sizeof(struct barista_turn));
    if (wish == NULL || turn == NULL) {
        web_reply_err(call, ERR_NOMEM);
        return NULL;
    }
    if (sys_random(&seed, sizeof(seed)) != ERR_OK)
        seed = (uint64_t)sys_mono_us();
    *wish = (struct lm_wish){
        .turn = turn,
        .ask = {.kind = endpoint->kind,
                .max_tokens = endpoint->tokens_preset,
                .sampling = {.temperature = (float)endpoint->temperature_milli / 1000.0f,
                             .top_k = TOP_K,
                             .top_p = TOP_P,
                             .seed = seed}}};
    return wish;
}

void lm_wish_suit(const struct web_call *call, struct lm_wish *wish)
{
    struct barista_model_info info;
    uint64_t seed = wish->ask.sampling.seed;
    if (!barista_model_find(call->web->barista, wish->ask.model, &info) ||
        info.generation == NULL || !info.generation->has_sampling)
        return;
    wish->ask.sampling = info.generation->sampling;
    wish->ask.sampling.seed = seed;
}

static bool milli_read(struct kinds_reader *reader, const char *name, int64_t min, int64_t max,
                       float *ret_value)
{
    int64_t milli = 0;
    if (!kinds_read_milli(reader, name, false, min, max, &milli))
        return false;
    *ret_value = (float)milli / 1000.0f;
    return true;
}

/* "stop": one text or a list of them. */
static void stop_read(struct kinds_reader *reader, struct lm_wish *wish)
{
    const json_t *value = kinds_read_any(reader, "stop", false);
    if (value == NULL)
        return;
    size_t count = json_is_array(value) ? json_array_size(value) : 1;
    if (count > LM_STOPS_MAX) {
        kinds_read_fault(reader, "out_of_limits", "stop", "At most %d texts.", LM_STOPS_MAX);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        const json_t *one = json_is_array(value) ? json_array_get(value, i) : value;
        if (!json_is_string(one)) {
            kinds_read_fault(reader, "wrong_type", "stop",
                             "Here must be a text or a list of them.");
            return;
        }
        struct str text = {json_string_value(one), json_string_length(one)};
        if (text.len == 0 || text.len > LM_STOP_BYTES) {
            kinds_read_fault(reader, "out_of_limits", "stop", "A text of 1 to %d bytes.",
                             LM_STOP_BYTES);
            return;
        }
        wish->stop[i] = text;
    }
    wish->ask.stop = wish->stop;
    wish->ask.stop_count = (uint32_t)count;
}

void lm_read_common(struct kinds_reader *reader, const struct lm_endpoint *endpoint,
                    struct lm_wish *wish)
{
    int64_t number = 0;
    struct lm_sampling *how = &wish->ask.sampling;
    if (kinds_read_i64(reader, "max_length", false, 1, endpoint->tokens_max, &number))
        wish->ask.max_tokens = (uint32_t)number;
    (void)milli_read(reader, "temperature", 0, TEMPERATURE_MILLI_MAX, &how->temperature);
    if (kinds_read_i64(reader, "top_k", false, 0, TOP_K_MAX, &number))
        how->top_k = (uint32_t)number;
    (void)milli_read(reader, "top_p", 0, 1000, &how->top_p);
    (void)milli_read(reader, "min_p", 0, 1000, &how->min_p);
    (void)milli_read(reader, "repetition_penalty", REPETITION_MILLI_MIN, REPETITION_MILLI_MAX,
                     &how->repetition);
    if (kinds_read_i64(reader, "seed", false, 0, SEED_MAX, &number))
        how->seed = (uint64_t)number;
    stop_read(reader, wish);
    kinds_read_bool(reader, "stream", false, &wish->stream);
}

static bool role_read(struct kinds_reader *reader, struct str word, enum barista_role *ret_role)
{
    static const struct {
        struct str word;
        enum barista_role role;
    } roles[] = {{STR_INIT("system"), BARISTA_SYSTEM},
                 {STR_INIT("user"), BARISTA_USER},
                 {STR_INIT("assistant"), BARISTA_ASSISTANT}};
    for (size_t i = 0; i < ARRAY_COUNT(roles); i++) {
        if (str_equal(roles[i].word, word)) {
            *ret_role = roles[i].role;
            return true;
        }
    }
    kinds_read_fault(reader, "bad_value", "role", "A role is system, user or assistant.");
    return false;
}

static bool message_read(const json_t *item, size_t index, struct kinds_refusal *refusal,
                         struct barista_turn *turn)
{
    char prefix[32];
    struct kinds_reader reader;
    struct str role = STR_NONE;
    (void)snprintf(prefix, sizeof(prefix), "messages[%zu]", index);
    kinds_read_begin(&reader, item, prefix, refusal);
    kinds_read_text(&reader, "role", true, 32, &role);
    kinds_read_text(&reader, "content", true, WEB_BODY_BYTES_MAX, &turn->text);
    if (kinds_read_ok(&reader) && !role_read(&reader, role, &turn->role))
        return false;
    /* What was answered as a recipe is one, and stands behind its mark again. */
    turn->recipe = turn->role == BARISTA_ASSISTANT && str_starts(turn->text, STR("{"));
    return kinds_read_end(&reader);
}

/* System turns are taken and left out: each model knows the one persona it was taught. */
static void messages_read(struct kinds_reader *reader, struct kinds_refusal *refusal,
                          struct lm_wish *wish)
{
    const json_t *list = kinds_read_array(reader, "messages", true);
    size_t count = json_array_size(list), kept = 0;
    if (list == NULL)
        return;
    if (count == 0 || count > LM_MESSAGES_MAX) {
        kinds_read_fault(reader, "out_of_limits", "messages", "There must be 1 to %d messages.",
                         LM_MESSAGES_MAX);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        struct barista_turn turn = {.text = STR_NONE};
        if (!message_read(json_array_get(list, i), i, refusal, &turn)) {
            reader->object = NULL; /* the refusal is filled in */
            return;
        }
        if (turn.role != BARISTA_SYSTEM)
            wish->turn[kept++] = turn;
    }
    if (kept == 0 || wish->turn[kept - 1].role != BARISTA_USER) {
        kinds_read_fault(reader, "bad_value", "messages", "The last message must be the user's.");
        return;
    }
    wish->ask.turns = wish->turn;
    wish->ask.turn_count = kept;
}

static void recipe_read(struct kinds_reader *reader, struct lm_wish *wish)
{
    struct str system = STR_NONE;
    kinds_read_bool(reader, "recipe", false, &wish->ask.recipe);
    kinds_read_text(reader, "machine_system", false, 32, &system);
    if (system.len > 0 && !str_equal(system, STR("original")) && !str_equal(system, STR("vertuo")))
        kinds_read_fault(reader, "bad_value", "machine_system", "original or vertuo.");
    wish->ask.machine_system = system;
}

/* A recipe is whole or none: nothing may cut it. */
static void recipe_check(struct kinds_reader *reader, const struct lm_wish *wish)
{
    if (!wish->ask.recipe)
        return;
    if (wish->ask.max_tokens < RECIPE_TOKENS_MIN)
        kinds_read_fault(reader, "out_of_limits", "max_length", "A recipe needs %d at least.",
                         RECIPE_TOKENS_MIN);
    else if (wish->ask.stop_count > 0)
        kinds_read_fault(reader, "bad_value", "stop", "A recipe ends by itself.");
}

static bool wish_read(struct web_call *call, const struct lm_endpoint *endpoint,
                      struct lm_wish *wish)
{
    struct kinds_refusal refusal;
    struct kinds_reader reader;
    web_read_body(call, &reader, &refusal);
    kinds_read_text(&reader, "model", true, 64, &wish->ask.model);
    lm_wish_suit(call, wish);
    if (endpoint->text_field != NULL)
        kinds_read_text(&reader, endpoint->text_field, true, WEB_BODY_BYTES_MAX, &wish->ask.text);
    else
        messages_read(&reader, &refusal, wish);
    if (endpoint->kind == BARISTA_ASK_CHAT)
        recipe_read(&reader, wish);
    if (endpoint->kind != BARISTA_ASK_CLASSIFY)
        lm_read_common(&reader, endpoint, wish);
    recipe_check(&reader, wish);
    return web_read_end(call, &reader);
}

/* ---- answering ---- */

const char *lm_finish_word(const struct barista_answer *answer)
{
    return answer->result->finish == LM_FINISH_STOP ? "stop" : "length";
}

void lm_show_usage(struct json_out *out, const struct barista_answer *answer)
{
    const struct lm_result *result = answer->result;
    out_open(out, "usage", '{');
    out_u64(out, "prompt_tokens", result->prompt_ids);
    out_u64(out, "completion_tokens", result->made_ids);
    out_u64(out, "total_tokens", (uint64_t)result->prompt_ids + result->made_ids);
    out_open(out, "prompt_tokens_details", '{');
    out_u64(out, "cached_tokens", result->cached_ids);
    out_close(out, '}');
    out_close(out, '}');
}

void lm_show_sources(struct json_out *out, const struct barista_answer *answer)
{
    out_open(out, "sources", '[');
    for (size_t i = 0; i < answer->row_count; i++) {
        out_open(out, NULL, '{');
        out_text(out, "table", answer->rows[i].table);
        out_text(out, "id", answer->rows[i].id);
        out_text(out, "text", answer->rows[i].text);
        out_close(out, '}');
    }
    out_close(out, ']');
}

/* An object that the machine's own rules accept, or null and why. */
static void show_recipe(struct json_out *out, struct str text)
{
    struct lm_fault fault = {0};
    if (barista_recipe_check(text, &fault) == ERR_OK) {
        out_raw(out, "recipe", text, "null");
        return;
    }
    out_null(out, "recipe");
    out_word(out, "recipe_refused", fault.why);
}

static void show_rest(struct lm_ask *ask, const struct barista_answer *answer, struct json_out *out)
{
    out_word(out, "model", ask->model);
    if (ask->recipe)
        show_recipe(out, answer->text);
    if (ask->manner->endpoint->kind == BARISTA_ASK_CHAT)
        lm_show_sources(out, answer);
    out_word(out, "finish_reason", lm_finish_word(answer));
    lm_show_usage(out, answer);
}

static void show_whole(struct lm_ask *ask, const struct barista_answer *answer,
                       struct json_out *out)
{
    out_open(out, NULL, '{');
    out_text(out, ask->manner->endpoint->answer_field, answer->text);
    show_rest(ask, answer, out);
    out_close(out, '}');
}

static void show_piece(struct lm_ask *ask, struct str text, struct json_out *out)
{
    (void)ask;
    out_open(out, NULL, '{');
    out_text(out, "delta", text);
    out_close(out, '}');
}

static void show_last(struct lm_ask *ask, const struct barista_answer *answer, struct json_out *out)
{
    out_open(out, NULL, '{');
    out_bool(out, "done", true);
    out_text(out, ask->manner->endpoint->answer_field, answer->text);
    show_rest(ask, answer, out);
    out_close(out, '}');
}

static void show_fault(struct lm_ask *ask, const struct web_problem *problem, struct json_out *out)
{
    out_open(out, NULL, '{');
    out_bool(out, "done", true);
    out_open(out, "error", '{');
    out_word(out, "code", problem->code);
    out_word(out, "detail", problem->detail);
    out_word(out, "request_id", ask->request_id);
    out_close(out, '}');
    out_close(out, '}');
}

static void show_classes(struct lm_ask *ask, const struct barista_answer *answer,
                         struct json_out *out)
{
    out_open(out, NULL, '{');
    out_open(out, "classification", '{');
    for (size_t i = 0; i < answer->class_count; i++) {
        char facet[64];
        if (str_copy(facet, sizeof(facet), answer->classes[i].facet) != ERR_OK)
            continue;
        out_open(out, facet, '{');
        out_text(out, "label", answer->classes[i].label);
        out_f64(out, "confidence", answer->classes[i].confidence);
        out_close(out, '}');
    }
    out_close(out, '}');
    out_f64(out, "confidence", answer->confidence);
    out_word(out, "model", ask->model);
    lm_show_usage(out, answer);
    out_close(out, '}');
}

#define OWN(endpoint_)                                                                             \
    {                                                                                              \
        .endpoint = &(endpoint_), .whole = show_whole, .piece = show_piece, .last = show_last,     \
        .fault = show_fault                                                                        \
    }
static const struct lm_manner generate = OWN(lm_generate), chat = OWN(lm_chat),
                              summarize = OWN(lm_summarize);
static const struct lm_manner classify = {.endpoint = &lm_classify, .whole = show_classes};

static void ask_own(struct web_call *call, const struct lm_manner *manner)
{
    struct lm_wish *wish = lm_needed(call) ? lm_wish_make(call, manner->endpoint) : NULL;
    if (wish != NULL && wish_read(call, manner->endpoint, wish))
        lm_ask_begin(call, manner, wish);
}

void web_lm_generate(struct web_call *call)
{
    ask_own(call, &generate);
}

void web_lm_chat(struct web_call *call)
{
    ask_own(call, &chat);
}

void web_lm_summarize(struct web_call *call)
{
    ask_own(call, &summarize);
}

void web_lm_classify(struct web_call *call)
{
    ask_own(call, &classify);
}
