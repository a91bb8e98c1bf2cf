/* rooms: climate */
/* The window model's file.  The checksum would stop nearly every mutation, so it is put right
 * first, as one who tampers would. */
#include "climate/climate_model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool fact)
{
    if (!fact)
        abort();
}

static void decode(const char *bytes, size_t len)
{
    char why[CLIMATE_MODEL_WHY_BYTES] = "";
    struct climate_model *model = NULL, *again = NULL;
    enum err err = climate_model_decode((struct str){bytes, len}, why, sizeof(why), &model);
    must(err == ERR_OK ? model != NULL : why[0] != '\0');
    if (err != ERR_OK)
        return;
    const struct climate_features features = {22, 45, 0.02};
    struct climate_answer answer = climate_model_ask(model, &features);
    must(isfinite(answer.position_pct) && answer.position_pct >= 0 && answer.position_pct <= 100);
    must(answer.confidence >= 0 && answer.confidence <= 1);
    /* What is accepted can be written and read again. */
    struct buf buf;
    buf_init(&buf, CLIMATE_MODEL_BYTES_MAX);
    must(climate_model_encode(model, &buf) == ERR_OK);
    must(climate_model_decode(buf_str(&buf), why, sizeof(why), &again) == ERR_OK);
    buf_finish(&buf);
    climate_model_destroy(model);
    climate_model_destroy(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *bytes = calloc(1, size + 1);
    must(bytes != NULL);
    if (size > 0)
        memcpy(bytes, data, size);
    decode(bytes, size);
    if (size > 16) {
        uint32_t sum;
        for (size_t i = 0; i < 4; i++)
            bytes[12 + i] = (char)(uint8_t)(size >> (8 * i)); /* and the length */
        sum = crc32c(0, bytes, size - 4);
        for (size_t i = 0; i < 4; i++)
            bytes[size - 4 + i] = (char)(uint8_t)(sum >> (8 * i));
        decode(bytes, size);
    }
    free(bytes);
    return 0;
}
