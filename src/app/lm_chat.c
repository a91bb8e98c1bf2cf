/* automat lm chat: a talk with a model in the terminal.  On a pipe every line is a question and
 * every answer is one line. */
#include "app/lm_chat.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LINE_BYTES (16 * KIB) /* of a question */
#define TOKENS_MAX 256

/* ---- the bell: the engine and Ctrl-C both ring it ---- */

static int bell[2] = {-1, -1};
static volatile sig_atomic_t interrupted;

static void ring(void *cookie)
{
    (void)cookie;
    int saved = errno;
    if (write(bell[1], "", 1) < 0) { /* full: it is ringing already */
    }
    errno = saved;
}

static void on_interrupt(int signal_number)
{
    (void)signal_number;
    interrupted = 1;
    ring(NULL);
}

static bool bell_open(bool is_terminal)
{
    if (pipe2(bell, O_CLOEXEC | O_NONBLOCK) != 0) {
        app_complain("lm chat: no pipe: %s", strerror(errno));
        return false;
    }
    if (!is_terminal)
        return true;
    struct sigaction action = {.sa_handler = on_interrupt}; /* reading a line ends, too */
    (void)sigemptyset(&action.sa_mask);
    return sigaction(SIGINT, &action, NULL) == 0;
}

static void bell_close(bool is_terminal)
{
    if (is_terminal)
        (void)signal(SIGINT, SIG_DFL);
    for (int i = 0; i < 2; i++) {
        if (bell[i] >= 0)
            (void)close(bell[i]);
        bell[i] = -1;
    }
}

static void bell_wait(void)
{
    char bytes[64];
    struct pollfd at = {.fd = bell[0], .events = POLLIN};
    (void)poll(&at, 1, -1);
    while (read(bell[0], bytes, sizeof(bytes)) > 0)
        ;
}

/* ---- showing ---- */

/* What a model says may not steer the terminal, and on a pipe it is one line. */
static void show(const struct chat *chat, struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char byte = (unsigned char)text.at[i];
        bool c1 = byte == 0xC2 && i + 1 < text.len && (unsigned char)text.at[i + 1] < 0xA0;
        if (byte == '\n' && chat->is_terminal)
            (void)putchar('\n');
        else if (c1 || (byte < 0x20 && byte != '\n' && byte != '\t') || byte == 0x7F)
            (void)putchar('?');
        else
            (void)putchar(byte < 0x20 ? ' ' : byte);
        i += c1;
    }
    (void)fflush(stdout);
}

static void show_dim(const struct chat *chat, const char *format, ...) PRINTF_LIKE(2, 3);
static void show_dim(const struct chat *chat, const char *format, ...)
{
    if (!chat->is_terminal)
        return;
    va_list values;
    va_start(values, format);
    (void)fputs("\033[2m", stdout);
    (void)vprintf(format, values);
    (void)fputs("\033[0m\n", stdout);
    va_end(values);
    (void)fflush(stdout);
}

static void show_facts(const struct chat *chat)
{
    if (chat->row_count == 0)
        show_dim(chat,
                 chat->facts == NULL ? "there are no facts: --corpus DIR" : "no row was near");
    for (size_t i = 0; i < chat->row_count; i++) {
        const struct barista_row *row = &chat->row[i];
        show_dim(chat, "%.*s/%.*s (%.2f) %.*s", STR_ARG(row->table), STR_ARG(row->id), row->score,
                 STR_ARG(row->text));
    }
}

static void show_result(const struct chat *chat)
{
    const struct lm_result *result = &chat->result;
    double decode_s = result->decode_ms / 1e3;
    const char *end = result->finish == LM_FINISH_CANCEL   ? ", stopped"
                      : result->finish == LM_FINISH_LENGTH ? ", cut off"
                                                           : "";
    show_dim(chat,
             "%u tokens, %.0f a second; prompt %u in %.0f ms, %u of it remembered; %zu rows%s",
             result->made_ids, decode_s > 0 ? result->made_ids / decode_s : 0.0, result->prompt_ids,
             result->prompt_ms, result->cached_ids, chat->row_count, end);
}

/* ---- one answer ---- */

static void on_piece(void *cookie, struct str text)
{
    struct chat *chat = cookie;
    if (buf_add_str(&chat->answer, text) != ERR_OK)
        return; /* what is not kept is still shown */
    show(chat, text);
}

static void on_done(void *cookie, enum err err, const struct lm_result *result)
{
    struct chat *chat = cookie;
    chat->is_done = true;
    chat->err = err;
    chat->result = *result;
    chat->result.scores = NULL;
}

/* The ids of the prompt with the messages from `from` on; how many user turns it holds. */
static enum err prompt_from(struct chat *chat, size_t from, bool recipe, uint32_t room,
                            uint16_t *ids, size_t *ret_count, size_t *ret_users)
{
    struct barista_turn *turn = chat->turn;
    const struct lm_config *config = lm_model_config(chat->model);
    size_t count = 0;
    struct buf system;
    buf_init(&system, KIB);
    enum err err = barista_system_text(str_from(config->name), recipe ? STR("original") : STR(""),
                                       -1, &system);
    if (err == ERR_OK)
        err = barista_turns(chat->facts, buf_str(&system), chat->message + from,
                            chat->message_count - from, &chat->scratch, turn, CHAT_TURNS - 1,
                            &count, chat->row, &chat->row_count);
    if (err == ERR_OK && recipe)
        turn[count++] = (struct barista_turn){.role = BARISTA_ASSISTANT, .recipe = true};
    if (err == ERR_OK)
        err = barista_prompt_taught(chat->tokenizer, turn, count,
                                    &(struct barista_space){.context = config->context,
                                                            .room = room,
                                                            .taught = chat->prompt_max},
                                    ids, config->context, ret_count);
    buf_finish(&system);
    *ret_users = 0;
    for (size_t i = 0; err == ERR_OK && i < *ret_count; i++)
        *ret_users += ids[i] == LM_USER;
    return err;
}

/* Without the oldest exchanges, if need be, so that the rows of the others are shown anew. */
static enum err prompt(struct chat *chat, bool recipe, uint32_t room, uint16_t *ids,
                       size_t *ret_count)
{
    for (size_t from = 0;; from += 2) {
        size_t users = 0;
        arena_reset(&chat->scratch);
        enum err err = prompt_from(chat, from, recipe, room, ids, ret_count, &users);
        if (err != ERR_OK || from + 2 >= chat->message_count ||
            users >= (chat->message_count - from + 1) / 2)
            return err;
    }
}

static enum err recipe_mask(struct chat *chat)
{
    char schema[8 * KIB];
    struct lm_fault fault;
    if (chat->recipe != NULL)
        return ERR_OK;
    enum err err = barista_recipe_schema(STR("original"), schema, sizeof(schema));
    return err != ERR_OK ? err
                         : lm_mask_create(str_from(schema), chat->tokenizer, &fault, &chat->recipe);
}

static enum err answer(struct chat *chat, bool recipe)
{
    const struct lm_config *config = lm_model_config(chat->model);
    const struct options_lm *given = &chat->options->lm;
    uint32_t most = given->max_tokens != 0 ? given->max_tokens : TOKENS_MAX;
    size_t count = 0;
    uint16_t *ids = mem_alloc(config->context * sizeof(*ids));
    if (ids == NULL)
        return ERR_NOMEM;
    enum err err = recipe ? recipe_mask(chat) : ERR_OK;
    if (err == ERR_OK)
        err = prompt(chat, recipe, most < config->context / 2 ? most : config->context / 2, ids,
                     &count);
    struct lm_job job = {.model = chat->model,
                         .tokenizer = chat->tokenizer,
                         .prompt = ids,
                         .prompt_count = (uint32_t)count,
                         .max_tokens = most,
                         .sampling = chat->sampling,
                         .mask = recipe ? chat->recipe : NULL,
                         .piece = on_piece,
                         .done = on_done,
                         .cookie = chat};
    job.sampling.seed += chat->answers++;
    chat->answer.len = 0;
    chat->is_done = false;
    interrupted = 0;
    if (err == ERR_OK)
        err = lm_engine_submit(chat->engine, &job, &chat->request);
    mem_free(ids);
    if (err != ERR_OK)
        return err;
    while (!chat->is_done) {
        bell_wait();
        if (interrupted != 0)
            lm_engine_cancel(chat->engine, chat->request);
        lm_engine_collect(chat->engine);
    }
    (void)putchar('\n');
    (void)fflush(stdout);
    return chat->err;
}

/* ---- the talk ---- */

static void forget(struct chat *chat)
{
    chat->message_count = 0;
    chat->row_count = 0;
    arena_reset(&chat->memory);
}

static bool remember(struct chat *chat, enum barista_role role, struct str text, bool recipe)
{
    char *copy = arena_strdup(&chat->memory, text);
    if (copy == NULL)
        return false;
    if (chat->message_count == CHAT_MESSAGES) {
        memmove(chat->message, chat->message + 2, (CHAT_MESSAGES - 2) * sizeof(*chat->message));
        chat->message_count -= 2;
    }
    chat->message[chat->message_count++] =
        (struct barista_turn){.role = role, .text = {copy, text.len}, .recipe = recipe};
    return true;
}

/* False when there is nothing to go on with. */
static bool ask(struct chat *chat, struct str question, bool recipe)
{
    if (!remember(chat, BARISTA_USER, question, false)) {
        forget(chat);
        show_dim(chat, "the talk had grown too long; it begins anew");
        if (!remember(chat, BARISTA_USER, question, false))
            return app_lm_failed("lm chat", ERR_NOMEM, NULL) == 0;
    }
    enum err err = answer(chat, recipe);
    struct str said = buf_str(&chat->answer);
    if (err != ERR_OK || said.len == 0 || !remember(chat, BARISTA_ASSISTANT, said, recipe))
        chat->message_count--; /* a question without an answer is not spoken of again */
    if (err == ERR_FULL || err == ERR_INPUT) {
        app_complain("lm chat: the question is longer than this model can read");
        return true;
    }
    if (err != ERR_OK)
        return app_lm_failed("lm chat", err, NULL) == 0;
    struct lm_fault fault = {.why = ""};
    if (recipe && said.len > 0 && barista_recipe_check(said, &fault) != ERR_OK)
        show_dim(chat, "the machine refuses it: %s", fault.why);
    show_result(chat);
    return true;
}

static bool command(struct chat *chat, struct str line)
{
    if (str_equal(line, STR("/facts"))) {
        show_facts(chat);
    } else if (str_equal(line, STR("/reset"))) {
        forget(chat);
        show_dim(chat, "forgotten");
    } else if (str_starts(line, STR("/recipe ")) && line.len > 8) {
        return ask(chat, str_slice(line, 8, line.len), true);
    } else {
        show_dim(chat, "/facts: rows of the last question; /recipe QUESTION: as the machine's "
                       "recipe; /reset: forget; Ctrl-C: stop an answer; Ctrl-D: end");
    }
    return true;
}

/* The next line without its end; false: no more.  Ctrl-C only begins another. */
static bool next_line(const struct chat *chat, char *line, struct str *ret_line)
{
    for (;;) {
        if (chat->is_terminal) {
            (void)fputs("> ", stdout);
            (void)fflush(stdout);
        }
        errno = 0;
        if (fgets(line, (int)LINE_BYTES, stdin) != NULL)
            break;
        if (errno != EINTR)
            return false;
        clearerr(stdin);
        (void)putchar('\n');
    }
    size_t len = strlen(line);
    bool is_whole = len > 0 && line[len - 1] == '\n';
    for (int byte = 0; !is_whole && byte != '\n' && byte != EOF;)
        byte = getchar(); /* what did not fit */
    while (len > 0 && (line[len - 1] == '\n' || line[len - 1] == '\r' || line[len - 1] == ' '))
        len--;
    *ret_line = (struct str){line, len};
    return true;
}

static int talk(struct chat *chat)
{
    char *line = mem_alloc(LINE_BYTES);
    struct str text;
    bool well = line != NULL;
    while (well && next_line(chat, line, &text)) {
        if (text.len == 0)
            continue;
        well = text.at[0] == '/' ? command(chat, text) : ask(chat, text, false);
    }
    if (chat->is_terminal)
        (void)putchar('\n');
    mem_free(line);
    return well ? 0 : 1;
}

int app_lm_chat(const struct options *options)
{
    int status = 1;
    struct chat *chat = mem_zalloc(sizeof(*chat));
    if (chat == NULL)
        return app_lm_failed("lm chat", ERR_NOMEM, NULL);
    chat->is_terminal =
        isatty(STDOUT_FILENO) != 0 && (options->lm.prompt != NULL || isatty(STDIN_FILENO) != 0);
    bool is_ready = bell_open(chat->is_terminal);
    is_ready = chat_load(chat, options, ring) && is_ready;
    if (is_ready && options->lm.prompt == NULL)
        status = talk(chat);
    else if (is_ready)
        status = ask(chat, str_from(options->lm.prompt), false) ? 0 : 1;
    chat_unload(chat); /* the engine rings until then */
    bell_close(chat->is_terminal);
    mem_free(chat);
    return status;
}
