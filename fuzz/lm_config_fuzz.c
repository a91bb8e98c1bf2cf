/* rooms: lm */
/* config.json and the state of a training run: what is accepted can be written, and reads the same.
 */
#include "lm/file/file_int.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool fact)
{
    if (!fact)
        abort();
}

static void config(struct str json)
{
    struct lm_fault fault;
    struct lm_config read, again;
    struct buf one, two;
    enum err err = lm_config_parse(json, &fault, &read);
    must(err == ERR_OK || (err == ERR_INPUT && fault.why[0] != '\0'));
    if (err != ERR_OK)
        return;
    must(lm_config_check(&read, &fault) == ERR_OK);
    buf_init(&one, 16 * KIB);
    buf_init(&two, 16 * KIB);
    must(lm_config_json(&read, &one) == ERR_OK);
    must(lm_config_parse(buf_str(&one), &fault, &again) == ERR_OK);
    must(lm_config_json(&again, &two) == ERR_OK);
    must(str_equal(buf_str(&one), buf_str(&two)));
    must(again.rope_theta == read.rope_theta && again.norm_eps == read.norm_eps);
    buf_finish(&one);
    buf_finish(&two);
}

static void state(struct str json)
{
    struct lm_fault fault;
    struct lm_train_state read, again;
    struct buf one, two;
    enum err err = lm_state_parse(json, &fault, &read);
    must(err == ERR_OK || (err == ERR_INPUT && fault.why[0] != '\0'));
    if (err != ERR_OK)
        return;
    buf_init(&one, 64 * KIB);
    buf_init(&two, 64 * KIB);
    must(lm_state_json(&read, &one) == ERR_OK);
    must(lm_state_parse(buf_str(&one), &fault, &again) == ERR_OK);
    must(lm_state_json(&again, &two) == ERR_OK);
    must(str_equal(buf_str(&one), buf_str(&two)));
    buf_finish(&one);
    buf_finish(&two);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str json = {(const char *)data, size};
    config(json);
    state(json);
    return 0;
}
