/* rooms: lm */
/* Token files.  Checksum and count would stop nearly every mutation, so the input is also tried
 * with both put right, as one who tampers would. */
#include "lm/file/file_int.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool fact)
{
    if (!fact)
        abort();
}

static void parse(struct str bytes)
{
    struct lm_fault fault;
    struct lm_tokens *tokens = NULL;
    enum err err = lm_tokens_parse(bytes, &fault, &tokens);
    must(err == ERR_OK ? tokens != NULL : fault.why[0] != '\0');
    must(err == ERR_OK || err == ERR_INPUT || err == ERR_VERSION);
    must(fault.at_byte <= bytes.len);
    if (err != ERR_OK)
        return;
    must(lm_tokens_count(tokens) * 2 + 64 == bytes.len);
    for (uint64_t i = 0; i < lm_tokens_count(tokens); i++)
        must((lm_tokens_at(tokens)[i] & ~LM_TOKEN_QUIET) < lm_tokens_vocab(tokens));
    lm_tokens_close(tokens);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    parse((struct str){(const char *)data, size});
    if (size < 64)
        return 0;
    char *bytes = malloc(size);
    must(bytes != NULL);
    memcpy(bytes, data, size);
    uint64_t count = (size - 64) / 2;
    memcpy(bytes + 24, &count, sizeof(count));
    uint32_t sum = crc32c(0, bytes, 60);
    memcpy(bytes + 60, &sum, sizeof(sum));
    parse((struct str){bytes, size});
    free(bytes);
    return 0;
}
