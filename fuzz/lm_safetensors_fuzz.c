/* rooms: lm */
/* A file of weights: what is accepted lies inside the file, piece beside piece. */
#include "lm/file/file_int.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool fact)
{
    if (!fact)
        abort();
}

/* Reads every byte of every tensor; gives how many there were. */
static uint64_t read_all(const struct lm_safetensors *file, const uint8_t *data, size_t size)
{
    uint64_t bytes = 0;
    volatile uint8_t sum = 0;
    for (size_t i = 0; i < lm_safetensors_count(file); i++) {
        struct lm_safetensor tensor = lm_safetensors_at(file, i), found;
        const uint8_t *at = tensor.data;
        uint64_t count = 1;
        must(lm_safetensors_find(file, tensor.name, &found) && found.data == tensor.data);
        must(at >= data && tensor.bytes <= size && at + tensor.bytes <= data + size);
        must((size_t)(at - data) % lm_stored_bytes(tensor.type) == 0);
        for (uint32_t d = 0; d < tensor.rank; d++)
            count *= tensor.shape[d];
        must(count * lm_stored_bytes(tensor.type) == tensor.bytes);
        for (uint64_t n = 0; n < tensor.bytes; n++)
            sum = (uint8_t)(sum + at[n]);
        bytes += tensor.bytes;
    }
    return bytes;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lm_fault fault;
    struct lm_safetensors *file = NULL;
    uint64_t head = 0;
    enum err err = lm_safetensors_parse((struct str){(const char *)data, size}, &fault, &file);
    must(err == ERR_OK ? file != NULL : err == ERR_INPUT && fault.why[0] != '\0');
    must(fault.at_byte <= size);
    if (err != ERR_OK)
        return 0;
    memcpy(&head, data, sizeof(head));
    must(read_all(file, data, size) + 8 + head == size);
    (void)lm_safetensors_meta(file, STR("format"));
    lm_safetensors_close(file);
    return 0;
}
