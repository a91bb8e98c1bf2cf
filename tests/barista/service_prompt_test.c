/* The prompt of a long chat, made with few looks into the tables, is the one that leaving out one
 * exchange after the other would have made. */
#include "barista/barista_int.h"
#include "barista/service_int.h"
#include "kit/kit.h"
#include "lm/file/file_int.h"

#include <string.h>

#define CORPUS       AUTOMAT_SOURCE_DIR "/corpus"
#define MESSAGES_MAX 64

static bool no_text(void *cookie, struct str *ret_text)
{
    int *left = cookie;
    *ret_text = STR("how strong is it? name: Ember Quay; system: original; price: 0.46 EUR; ");
    return (*left)-- > 0;
}

static const char *toy_write(void)
{
    struct lm_config config = {.name = "tanka",
                               .hidden = 16,
                               .layers = 1,
                               .heads = 2,
                               .kv_heads = 1,
                               .ffn = 16,
                               .top_k = 2,
                               .domains = 8,
                               .context = 700,
                               .rope_theta = 10000,
                               .norm_eps = 1e-6F,
                               .norm = LM_NORM_PRE};
    struct lm_tokenizer *tokenizer;
    struct lm_weights weights;
    const char *dir = kit_path(kit_tempdir(), "tanka");
    int left = 8;
    CHECK_OK(dir_make(dir, 0700));
    CHECK_OK(lm_tokenizer_train(no_text, &left, 330, &tokenizer));
    config.vocab = config.vocab_used = lm_tokenizer_vocab(tokenizer);
    CHECK_OK(lm_tokenizer_write(tokenizer, kit_path(dir, "tokenizer.json")));
    lm_tokenizer_destroy(tokenizer);
    float *block = mem_alloc(lm_floats(&config) * sizeof(float));
    CHECK(block != NULL);
    lm_weights_lay(&config, block, &weights);
    lm_weights_random(&weights, 5);
    CHECK_OK(lm_weights_write(dir, &weights, LM_F32));
    mem_free(block);
    return dir;
}

static size_t users_in(const uint16_t *ids, size_t count)
{
    size_t users = 0;
    for (size_t i = 0; i < count; i++)
        users += ids[i] == LM_USER;
    return users;
}

/* One exchange less until nothing is left out: slow, and plainly right. */
static enum err plainly(const struct barista_wait *wait, const struct barista_ask *ask,
                        uint32_t room, uint16_t *ids, size_t *ret_count)
{
    struct barista_turn turns[2 * MESSAGES_MAX + 1];
    struct barista_row rows[BARISTA_ROWS_MAX];
    uint32_t context = lm_model_config(wait->weights->model)->context;
    size_t count, row_count, from = 0;
    for (;;) {
        struct arena scratch;
        size_t wanted = 0, next = from;
        arena_init(&scratch, MIB);
        CHECK_OK(barista_turns(wait->barista->facts, STR("tanka original"), ask->turns + from,
                               ask->turn_count - from, &scratch, turns, ARRAY_COUNT(turns), &count,
                               rows, &row_count));
        enum err err = barista_prompt(wait->weights->tokenizer, BARISTA_CHAT, turns, count, context,
                                      room, ids, wait->id_max, ret_count);
        arena_finish(&scratch);
        for (size_t i = from; i < ask->turn_count; i++)
            wanted += ask->turns[i].role == BARISTA_USER;
        while (next < ask->turn_count && ask->turns[next].role != BARISTA_ASSISTANT)
            next++;
        if (err != ERR_OK || users_in(ids, *ret_count) == wanted || next + 1 >= ask->turn_count)
            return err;
        from = next + 1;
    }
}

static size_t chat_draw(struct rng *rng, struct barista_turn *turns)
{
    static const char *const asked[] = {
        "How much is Ember Quay?",
        "and how strong is it?",
        "Is Tin Roof stronger?",
        "the machine is leaking",
        "thanks",
        "what does crema mean",
        "is there wifi",
        "a decaf for the evening",
        "embr quai, vrey hott zzyzx",
    };
    size_t count = 1 + 2 * rng_below(rng, 15);
    for (size_t i = 0; i < count; i++)
        turns[i] =
            i % 2 == 0
                ? (struct barista_turn){BARISTA_USER,
                                        str_from(asked[rng_below(rng, ARRAY_COUNT(asked))]), false}
                : (struct barista_turn){BARISTA_ASSISTANT, STR("It is."), false};
    return count;
}

TEST(a_long_chat_has_the_prompt_that_it_would_have_plainly)
{
    struct lm_fault fault = {.why = ""};
    struct barista barista = {.facts = NULL};
    struct barista_turn turns[MESSAGES_MAX];
    uint16_t ids[800], plain[800];
    struct barista_wait wait = {.barista = &barista, .ids = ids, .id_max = ARRAY_COUNT(ids)};
    struct rng rng;
    uint32_t cut = 0;
    rng_init(&rng, 11);
    CHECK_OK(barista_facts_load(CORPUS, &fault, &barista.facts));
    CHECK_OK(service_weights_load(toy_write(), "tanka", &fault, &wait.weights));
    for (int i = 0; i < 60; i++) {
        struct barista_ask ask = {.kind = BARISTA_ASK_CHAT,
                                  .model = STR("tanka"),
                                  .machine_system = STR("original"),
                                  .turns = turns,
                                  .turn_count = chat_draw(&rng, turns)};
        uint32_t room = 32 + rng_below(&rng, 500);
        size_t count = 0;
        enum err err = plainly(&wait, &ask, room, plain, &count);
        enum err ours = service_prompt(&wait, &ask, room, &fault);
        NOTE("chat %d of %zu messages, room %u", i, ask.turn_count, room);
        CHECK(err == ERR_FULL ? ours == ERR_INPUT : ours == ERR_OK);
        if (err != ERR_OK)
            continue;
        CHECK_EQ(wait.id_count, count);
        CHECK(memcmp(ids, plain, count * sizeof(*ids)) == 0);
        cut += users_in(ids, count) < (ask.turn_count + 1) / 2;
    }
    CHECK(cut > 20 && cut < 60);
    service_weights_unref(wait.weights);
    barista_facts_destroy(barista.facts);
}

/* A body full of words that are none: what cannot fit is not looked up, the last question is. */
TEST(words_that_cannot_fit_are_left_out_at_once)
{
    struct lm_fault fault = {.why = ""};
    struct barista barista = {.facts = NULL};
    struct barista_turn turns[MESSAGES_MAX];
    uint16_t ids[800];
    struct barista_wait wait = {.barista = &barista, .ids = ids, .id_max = ARRAY_COUNT(ids)};
    static char junk[3000];
    for (size_t i = 0; i < sizeof(junk); i++)
        junk[i] = i % 6 == 5 ? ' ' : (char)('a' + (i * 7 + i / 6) % 26);
    for (size_t i = 0; i < 63; i++)
        turns[i] = (struct barista_turn){i % 2 == 0 ? BARISTA_USER : BARISTA_ASSISTANT,
                                         (struct str){junk, sizeof(junk)}, false};
    turns[62].text = STR("How much is Ember Quay?");
    struct barista_ask ask = {
        .kind = BARISTA_ASK_CHAT, .model = STR("tanka"), .turns = turns, .turn_count = 63};
    CHECK_OK(barista_facts_load(CORPUS, &fault, &barista.facts));
    CHECK_OK(service_weights_load(toy_write(), "tanka", &fault, &wait.weights));
    mem_fail_at(60); /* each look into the tables makes a block, and each pass three */
    CHECK_OK(service_prompt(&wait, &ask, 100, &fault));
    CHECK(!mem_fail_fired());
    mem_fail_at(0);
    CHECK_EQ(users_in(ids, wait.id_count), 1);
    CHECK_SLICE(wait.row[0].id, "ember-quay");
    turns[62].text = (struct str){junk, sizeof(junk)};
    CHECK_ERR(service_prompt(&wait, &ask, 100, &fault), ERR_INPUT);
    CHECK(strstr(fault.why, "longer than") != NULL);
    service_weights_unref(wait.weights);
    barista_facts_destroy(barista.facts);
}
