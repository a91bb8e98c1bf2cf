/* What may come in from outside. */
#include "fleet/fleet_int.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static bool shallow(const json_t *value, int depth_left)
{
    const char *name = NULL;
    json_t *child = NULL;
    size_t index = 0;
    if (depth_left == 0)
        return false;
    if (json_is_array(value)) {
        json_array_foreach(value, index, child)
        {
            if (!shallow(child, depth_left - 1))
                return false;
        }
    } else if (json_is_object(value)) {
        json_object_foreach((json_t *)value, name, child)
        {
            if (!shallow(child, depth_left - 1))
                return false;
        }
    }
    return true;
}

enum err fleet_object_check(struct str text, size_t bytes_max, char **ret_json)
{
    if (text.len == 0)
        text = STR("{}");
    if (text.len > bytes_max)
        return ERR_INPUT;
    json_t *value = json_loadb(text.at, text.len, JSON_REJECT_DUPLICATES, NULL);
    if (value == NULL)
        return ERR_INPUT;
    enum err err = ERR_INPUT;
    char *shortest = NULL;
    if (json_is_object(value) && shallow(value, JSON_DEPTH_MAX)) {
        shortest = json_dumps(value, JSON_COMPACT);
        err = shortest == NULL ? ERR_NOMEM : ERR_OK;
    }
    json_decref(value);
    if (err == ERR_OK) {
        char *copy = mem_strdup(str_from(shortest));
        if (copy == NULL)
            err = ERR_NOMEM;
        else
            *ret_json = copy;
    }
    free(shortest); /* jansson's, not ours */
    return err;
}

bool fleet_name_shown(struct str name, size_t bytes)
{
    if (name.len >= bytes || !utf8_valid(name))
        return false;
    for (size_t i = 0; i < name.len; i++)
        if ((uint8_t)name.at[i] < 0x20 || name.at[i] == 0x7f)
            return false;
    return true;
}

static bool printable(struct str text, char least)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.at[i] < least || text.at[i] > '~')
            return false;
    return true;
}

bool fleet_firmware_shown(struct str firmware)
{
    return firmware.len < FLEET_ID_BYTES && printable(firmware, ' ');
}

bool fleet_step_named(struct str step)
{
    if (step.len == 0 || step.len >= FLEET_STEP_BYTES)
        return false;
    for (size_t i = 0; i < step.len; i++) {
        char c = step.at[i];
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '_')
            return false;
    }
    return true;
}

bool fleet_token_presentable(struct str token)
{
    return token.len >= TOKEN_LEN_MIN && token.len <= TOKEN_LEN_MAX && printable(token, '!');
}

static const char *const admission_names[] = {
    [FLEET_WAITING] = "waiting",
    [FLEET_ADMITTED] = "admitted",
    [FLEET_BLOCKED] = "blocked",
};

const char *fleet_admission_name(enum fleet_admission admission)
{
    return (unsigned)admission < ARRAY_COUNT(admission_names) ? admission_names[admission] : "none";
}

enum err fleet_admission_parse(struct str text, enum fleet_admission *ret_admission)
{
    for (unsigned i = 0; i < ARRAY_COUNT(admission_names); i++) {
        if (str_equal(text, str_from(admission_names[i]))) {
            *ret_admission = (enum fleet_admission)i;
            return ERR_OK;
        }
    }
    return ERR_INPUT;
}
