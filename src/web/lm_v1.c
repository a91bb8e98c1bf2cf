/* /v1: the chat completions and the list of models, as clients of the OpenAI layout ask and expect
 * them.  Fields that this server does not know are tolerated; those that it knows are checked. */
#include "web/lm_int.h"

#include <stdio.h>
#include <string.h>

#define TOKENS_MAX 1024

/* ---- reading ---- */

struct reading {
    struct web_call *call;
    const json_t *body;
    struct lm_wish *wish;
    struct web_problem problem; /* code NULL: none yet */
    char detail[160], field[48];
};

static void refuse(struct reading *reading, const char *field, const char *detail)
{
    if (reading->problem.code != NULL)
        return;
    (void)snprintf(reading->detail, sizeof(reading->detail), "%s", detail);
    (void)snprintf(reading->field, sizeof(reading->field), "%s", field);
    reading->problem = (struct web_problem){
        .status = 400, .code = "invalid_value", .detail = reading->detail, .field = reading->field};
}

/* NULL when absent or null. */
static const json_t *get(const struct reading *reading, const char *name)
{
    const json_t *value = json_object_get(reading->body, name);
    return json_is_null(value) ? NULL : value;
}

static bool number_read(struct reading *reading, const char *name, double min, double max,
                        bool whole, double *ret_value)
{
    char detail[96];
    const json_t *value = get(reading, name);
    if (value == NULL)
        return false;
    double number = json_number_value(value);
    bool good = json_is_number(value) && number >= min && number <= max &&
                (!whole || (double)(int64_t)number == number);
    if (!good) {
        (void)snprintf(detail, sizeof(detail), "'%s' must be a%s number from %.0f to %.0f.", name,
                       whole ? " whole" : "", min, max);
        refuse(reading, name, detail);
        return false;
    }
    *ret_value = number;
    return true;
}

static bool bool_read(struct reading *reading, const char *name, const json_t *object)
{
    const json_t *value = json_object_get(object, name);
    if (value != NULL && !json_is_null(value) && !json_is_boolean(value))
        refuse(reading, name, "This must be true or false.");
    return json_is_true(value);
}

static void stop_read(struct reading *reading)
{
    const json_t *value = get(reading, "stop");
    struct lm_wish *wish = reading->wish;
    if (value == NULL)
        return;
    size_t count = json_is_array(value) ? json_array_size(value) : 1;
    for (size_t i = 0; i < count && i <= LM_STOPS_MAX; i++) {
        const json_t *one = json_is_array(value) ? json_array_get(value, i) : value;
        if (!json_is_string(one) || json_string_length(one) == 0 ||
            json_string_length(one) > LM_STOP_BYTES || i == LM_STOPS_MAX) {
            refuse(reading, "stop", "'stop' must be at most 8 texts of 1 to 64 bytes.");
            return;
        }
        wish->stop[i] = (struct str){json_string_value(one), json_string_length(one)};
    }
    wish->ask.stop = wish->stop;
    wish->ask.stop_count = (uint32_t)count;
}

/* A text, or a list of parts of which each is a text. */
static struct str content_read(struct reading *reading, const json_t *content)
{
    struct str text = STR("");
    if (json_is_string(content))
        return (struct str){json_string_value(content), json_string_length(content)};
    if (json_is_null(content))
        return text;
    size_t count = json_array_size(content);
    if (!json_is_array(content))
        refuse(reading, "messages", "The content of a message must be text.");
    for (size_t i = 0; i < count && reading->problem.code == NULL; i++) {
        const json_t *part = json_array_get(content, i);
        const char *type = json_string_value(json_object_get(part, "type"));
        const char *more = json_string_value(json_object_get(part, "text"));
        if (type == NULL || strcmp(type, "text") != 0 || more == NULL) {
            refuse(reading, "messages", "These models read text only.");
            break;
        }
        char *joined = arena_printf(&reading->call->scratch, "%.*s%s", STR_ARG(text), more);
        if (joined == NULL) {
            refuse(reading, "messages", "The messages are too long.");
            break;
        }
        text = str_from(joined);
    }
    return text;
}

static void message_read(struct reading *reading, const json_t *item, size_t *kept)
{
    const char *role = json_string_value(json_object_get(item, "role"));
    bool user = role != NULL && strcmp(role, "user") == 0;
    bool assistant = role != NULL && strcmp(role, "assistant") == 0;
    bool other = role != NULL && (strcmp(role, "system") == 0 || strcmp(role, "developer") == 0);
    if (!user && !assistant && !other) {
        refuse(reading, "messages", "A role is system, developer, user or assistant.");
        return;
    }
    struct str text = content_read(reading, json_object_get(item, "content"));
    if (other || reading->problem.code != NULL)
        return;                     /* each model knows the one persona it was taught */
    if (*kept == LM_MESSAGES_MAX) { /* an old exchange gives way */
        memmove(&reading->wish->turn[0], &reading->wish->turn[1],
                (LM_MESSAGES_MAX - 1) * sizeof(struct barista_turn));
        (*kept)--;
    }
    reading->wish->turn[(*kept)++] =
        (struct barista_turn){.role = user ? BARISTA_USER : BARISTA_ASSISTANT,
                              .text = text,
                              .recipe = assistant && str_starts(text, STR("{"))};
}

static void messages_read(struct reading *reading)
{
    const json_t *list = get(reading, "messages");
    struct lm_wish *wish = reading->wish;
    size_t count = json_array_size(list), kept = 0;
    if (!json_is_array(list) || count == 0)
        refuse(reading, "messages", "'messages' must be a list of at least one message.");
    for (size_t i = 0; i < count && reading->problem.code == NULL; i++)
        message_read(reading, json_array_get(list, i), &kept);
    if (reading->problem.code == NULL && (kept == 0 || wish->turn[kept - 1].role != BARISTA_USER ||
                                          wish->turn[kept - 1].text.len == 0))
        refuse(reading, "messages", "The last message must be the user's, and say something.");
    wish->ask.turns = wish->turn;
    wish->ask.turn_count = kept;
}

static void format_read(struct reading *reading)
{
    const json_t *format = get(reading, "response_format");
    if (format == NULL)
        return;
    const char *type = json_string_value(json_object_get(format, "type"));
    const json_t *schema = json_object_get(json_object_get(format, "json_schema"), "schema");
    if (type != NULL && strcmp(type, "text") == 0)
        return;
    if (type == NULL || strcmp(type, "json_schema") != 0 || !json_is_object(schema)) {
        refuse(reading, "response_format",
               "'response_format' must be text, or json_schema with a schema.");
        return;
    }
    reading->wish->ask.schema = web_json_text(reading->call, schema);
    if (reading->wish->ask.schema.at == NULL)
        refuse(reading, "response_format", "The schema is too large.");
}

static void numbers_read(struct reading *reading)
{
    struct lm_sampling *how = &reading->wish->ask.sampling;
    double number = 0;
    if (number_read(reading, "max_tokens", 1, 1e9, true, &number) ||
        number_read(reading, "max_completion_tokens", 1, 1e9, true, &number))
        reading->wish->ask.max_tokens = number < TOKENS_MAX ? (uint32_t)number : TOKENS_MAX;
    if (number_read(reading, "temperature", 0, 2, false, &number))
        how->temperature = (float)number;
    if (number_read(reading, "top_p", 0, 1, false, &number))
        how->top_p = (float)number;
    if (number_read(reading, "seed", -9e15, 9e15, true, &number))
        how->seed = (uint64_t)(int64_t)number;
    (void)number_read(reading, "n", 1, 1, true, &number);
}

static bool wish_read(struct web_call *call, struct lm_wish *wish)
{
    struct reading reading = {.call = call, .body = call->body, .wish = wish};
    const json_t *model = json_object_get(call->body, "model");
    if (!json_is_string(model) || json_string_length(model) == 0)
        refuse(&reading, "model", "'model' must be the name of a model.");
    else
        wish->ask.model = (struct str){json_string_value(model), json_string_length(model)};
    lm_wish_suit(call, wish);
    messages_read(&reading);
    numbers_read(&reading);
    stop_read(&reading);
    format_read(&reading);
    wish->stream = bool_read(&reading, "stream", call->body);
    wish->stream_usage = bool_read(&reading, "include_usage", get(&reading, "stream_options"));
    if (reading.problem.code == NULL)
        return true;
    web_reply_problem(call, &reading.problem);
    return false;
}

/* ---- answering ---- */

static void show_head(struct lm_ask *ask, const char *object, struct json_out *out)
{
    char id[WEB_REQUEST_ID_BYTES + 16];
    (void)snprintf(id, sizeof(id), "chatcmpl-%s", ask->request_id);
    out_open(out, NULL, '{');
    out_word(out, "id", id);
    out_word(out, "object", object);
    out_i64(out, "created", ask->created_s);
    out_word(out, "model", ask->model);
}

static void show_whole(struct lm_ask *ask, const struct barista_answer *answer,
                       struct json_out *out)
{
    show_head(ask, "chat.completion", out);
    out_open(out, "choices", '[');
    out_open(out, NULL, '{');
    out_i64(out, "index", 0);
    out_open(out, "message", '{');
    out_word(out, "role", "assistant");
    out_text(out, "content", answer->text);
    out_null(out, "refusal");
    out_close(out, '}');
    out_null(out, "logprobs");
    out_word(out, "finish_reason", lm_finish_word(answer));
    out_close(out, '}');
    out_close(out, ']');
    lm_show_usage(out, answer);
    lm_show_sources(out, answer);
    out_close(out, '}');
}

/* One chunk; `finish` NULL: not the last. */
static void show_chunk(struct lm_ask *ask, bool first, struct str text, const char *finish,
                       struct json_out *out)
{
    show_head(ask, "chat.completion.chunk", out);
    out_open(out, "choices", '[');
    out_open(out, NULL, '{');
    out_i64(out, "index", 0);
    out_open(out, "delta", '{');
    if (first)
        out_word(out, "role", "assistant");
    if (text.at != NULL)
        out_text(out, "content", text);
    out_close(out, '}');
    out_null(out, "logprobs");
    if (finish != NULL)
        out_word(out, "finish_reason", finish);
    else
        out_null(out, "finish_reason");
    out_close(out, '}');
    out_close(out, ']');
    if (ask->stream_usage)
        out_null(out, "usage");
    out_close(out, '}');
}

static void show_first(struct lm_ask *ask, struct json_out *out)
{
    show_chunk(ask, true, STR(""), NULL, out);
}

static void show_piece(struct lm_ask *ask, struct str text, struct json_out *out)
{
    show_chunk(ask, false, text, NULL, out);
}

static void show_last(struct lm_ask *ask, const struct barista_answer *answer, struct json_out *out)
{
    show_chunk(ask, false, STR_NONE, lm_finish_word(answer), out);
}

static bool show_usage(struct lm_ask *ask, const struct barista_answer *answer,
                       struct json_out *out)
{
    if (!ask->stream_usage)
        return false;
    show_head(ask, "chat.completion.chunk", out);
    out_open(out, "choices", '[');
    out_close(out, ']');
    lm_show_usage(out, answer);
    out_close(out, '}');
    return true;
}

static void show_fault(struct lm_ask *ask, const struct web_problem *problem, struct json_out *out)
{
    (void)ask;
    web_problem_v1(out, problem);
}

static const struct lm_manner completions = {.endpoint = &lm_completions,
                                             .done_mark = true,
                                             .whole = show_whole,
                                             .first = show_first,
                                             .piece = show_piece,
                                             .last = show_last,
                                             .usage = show_usage,
                                             .fault = show_fault};

void web_v1_chat(struct web_call *call)
{
    struct lm_wish *wish = lm_needed(call) ? lm_wish_make(call, &lm_completions) : NULL;
    if (wish != NULL && wish_read(call, wish))
        lm_ask_begin(call, &completions, wish);
}

/* ---- models ---- */

static void show_model(struct json_out *out, const struct barista_model_info *info)
{
    out_open(out, NULL, '{');
    out_text(out, "id", info->name);
    out_word(out, "object", "model");
    out_i64(out, "created", info->loaded_at_ms / 1000);
    out_word(out, "owned_by", "automat");
    out_close(out, '}');
}

/* Those that answer: an untrained one is no choice. */
void web_v1_models(struct web_call *call)
{
    struct barista_model_info infos[BARISTA_MODELS_MAX];
    if (!lm_needed(call))
        return;
    size_t count = barista_models(call->web->barista, infos);
    out_open(&call->out, NULL, '{');
    out_word(&call->out, "object", "list");
    out_open(&call->out, "data", '[');
    for (size_t i = 0; i < count; i++) {
        if (infos[i].trained)
            show_model(&call->out, &infos[i]);
    }
    out_close(&call->out, ']');
    out_close(&call->out, '}');
    web_reply_json(call, 200);
}

void web_v1_model(struct web_call *call)
{
    struct barista_model_info info;
    if (!lm_needed(call))
        return;
    if (!barista_model_find(call->web->barista, str_from(call->machine_id), &info) ||
        !info.trained) {
        web_reply_problem(call, &(struct web_problem){.status = 404,
                                                      .code = "model_not_found",
                                                      .detail = "There is no model of this name.",
                                                      .field = "model"});
        return;
    }
    show_model(&call->out, &info);
    web_reply_json(call, 200);
}
