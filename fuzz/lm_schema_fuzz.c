/* rooms: lm */
/* A stranger's JSON schema: a mask or a reason.  Where there is a mask, whatever is chosen under it
 * ends within as many ids as it says. */
#include "lm/talk/talk_int.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define STEPS_MAX 512u

static void must(bool fact)
{
    if (!fact)
        abort();
}

static bool no_text(void *cookie, struct str *ret_text)
{
    (void)cookie;
    (void)ret_text;
    return false;
}

static uint32_t first_of(const uint64_t *allowed, uint32_t words)
{
    for (uint32_t i = 0; i < words; i++)
        if (allowed[i] != 0)
            return i * 64 + (uint32_t)__builtin_ctzll(allowed[i]);
    abort();
}

static void walk(const struct lm_mask *mask)
{
    uint64_t scratch[8];
    uint32_t state = lm_mask_start(mask), left = lm_mask_distance(mask, state) + 2;
    must(lm_mask_words(mask) <= ARRAY_COUNT(scratch));
    for (; left > 0 && left <= STEPS_MAX && !lm_mask_complete(mask, state); left--) {
        uint32_t id = first_of(lm_mask_allowed(mask, state, left, scratch), lm_mask_words(mask));
        if (id == LM_END)
            break;
        state = lm_mask_step(mask, state, id);
        must(state != LM_NO_STATE);
    }
    must(left > STEPS_MAX || lm_mask_accepts(mask, state));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct lm_tokenizer *tokenizer; /* of bytes alone; lives as long as the program */
    struct lm_fault fault;
    struct lm_mask *mask = NULL;
    if (tokenizer == NULL)
        must(lm_tokenizer_train(no_text, NULL, LM_SPECIALS + 256, &tokenizer) == ERR_OK);
    enum err err = lm_mask_create((struct str){(const char *)data, size}, tokenizer, &fault, &mask);
    must(err == ERR_OK ? mask != NULL : err == ERR_INPUT && fault.why[0] != '\0');
    if (err == ERR_OK)
        walk(mask);
    lm_mask_destroy(mask);
    return 0;
}
