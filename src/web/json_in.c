#include "web/json_in.h"

#include <stdio.h>

static void fault_set(struct json_fault *fault, unsigned line, unsigned column, const char *why)
{
    fault->line = line;
    fault->column = column;
    (void)snprintf(fault->why, sizeof(fault->why), "%s", why);
}

/* Brackets outside of texts, counted; the parser itself finds every other mistake. */
static bool depth_fits(struct str text, struct json_fault *fault)
{
    unsigned depth = 0, line = 1, column = 0;
    bool quoted = false, escaped = false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];
        column++;
        if (c == '\n') {
            line++;
            column = 0;
        }
        if (quoted) {
            quoted = escaped || c != '"';
            escaped = !escaped && c == '\\';
        } else if (c == '"') {
            quoted = true;
        } else if (c == '{' || c == '[') {
            if (++depth > JSON_DEPTH_MAX) {
                fault_set(fault, line, column, "nested deeper than 32 levels");
                return false;
            }
        } else if ((c == '}' || c == ']') && depth > 0) {
            depth--;
        }
    }
    return true;
}

enum err json_in(struct str text, json_t **ret_object, struct json_fault *ret_fault)
{
    if (text.len == 0) {
        fault_set(ret_fault, 0, 0, "the body is empty");
        return ERR_INPUT;
    }
    if (!utf8_valid(text)) {
        fault_set(ret_fault, 0, 0, "the body is not UTF-8");
        return ERR_INPUT;
    }
    if (!depth_fits(text, ret_fault))
        return ERR_INPUT;
    json_error_t error;
    json_t *value = json_loadb(text.at, text.len, JSON_REJECT_DUPLICATES, &error);
    if (value == NULL) {
        if (json_error_code(&error) == json_error_out_of_memory)
            return ERR_NOMEM;
        fault_set(ret_fault, error.line < 0 ? 0 : (unsigned)error.line,
                  error.column < 0 ? 0 : (unsigned)error.column, error.text);
        return ERR_INPUT;
    }
    if (!json_is_object(value)) {
        json_decref(value);
        fault_set(ret_fault, 1, 1, "the body must be an object");
        return ERR_INPUT;
    }
    *ret_object = value;
    return ERR_OK;
}
