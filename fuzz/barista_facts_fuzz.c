/* rooms: barista */
/* Tables and phrasings: whatever the bytes, a table or a place. */
#include "barista/corpus_int.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool fact)
{
    if (!fact)
        abort();
}

static void table(struct str text)
{
    struct arena arena;
    struct lm_fault fault = {.at_byte = 0};
    struct barista_csv csv;
    arena_init(&arena, 16 * MIB);
    enum err err = barista_csv_parse("fuzz.csv", text, &arena, &fault, &csv);
    must(err != ERR_INPUT || fault.why[0] != '\0');
    for (size_t i = 0; err == ERR_OK && i < csv.rows; i++) {
        for (size_t k = 0; k < csv.columns; k++)
            must(barista_csv_at(&csv, i, k).len <= text.len);
    }
    arena_finish(&arena);
}

static void phrasings(struct str text)
{
    struct phrases *phrases = calloc(1, sizeof(*phrases));
    struct lm_fault fault = {.at_byte = 0};
    must(phrases != NULL);
    arena_init(&phrases->arena, 16 * MIB);
    enum err err = phrases_parse(phrases, "fuzz.txt", text, &fault);
    if (err == ERR_OK)
        err = phrases_deal(phrases, &fault);
    must(err != ERR_INPUT || fault.why[0] != '\0');
    arena_finish(&phrases->arena);
    free(phrases);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *bytes = malloc(size + 1); /* its own block: reading past it is seen */
    must(bytes != NULL);
    if (size > 0)
        memcpy(bytes, data, size);
    struct lm_fault fault;
    table((struct str){bytes, size});
    phrasings((struct str){bytes, size});
    (void)!barista_recipe_check((struct str){bytes, size}, &fault);
    free(bytes);
    return 0;
}
