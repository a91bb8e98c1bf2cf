/* rooms: wire */
/* Any bytes as any message.  What decodes must encode again, and decode to the same. */
#include <stdint.h>
#include <stdlib.h>

#include "wire/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool fact)
{
    if (!fact)
        abort();
}

static void walk_all(struct wire_value value, int depth)
{
    struct wire_walk walk = wire_walk(value);
    struct wire_value key;
    struct wire_value inner;
    char text[64];
    int64_t number;
    bool flag;
    must(depth <= WIRE_DEPTH_MAX);
    (void)!wire_get_i64(value, &number);
    (void)!wire_get_milli(value, &number);
    (void)!wire_get_bool(value, &flag);
    (void)!wire_get_text(value, text, sizeof(text));
    while (wire_walk_next(&walk, &key, &inner)) {
        if (value.type == WIRE_OBJECT)
            must(key.type == WIRE_STRING);
        walk_all(inner, depth + 1);
    }
}

static void try_report(struct str body)
{
    static char storage[64 * 1024];
    struct text text;
    struct wire_report report;
    struct wire_report back;
    if (wire_report_decode(body, &report, NULL) != ERR_OK)
        return;
    text_init(&text, storage, sizeof(storage));
    if (wire_report_encode(&report, &text) != ERR_OK)
        return;
    must(wire_report_decode((struct str){text.at, text.len}, &back, NULL) == ERR_OK);
    must(back.status == report.status && back.number_count == report.number_count);
    for (uint32_t i = 0; i < report.number_count; i++)
        must(back.number[i].milli == report.number[i].milli);
}

static void try_answer(struct str body)
{
    static char storage[4096];
    struct text text;
    struct wire_answer answer;
    struct wire_answer back;
    if (wire_answer_decode(body, &answer, NULL) != ERR_OK)
        return;
    text_init(&text, storage, sizeof(storage));
    must(wire_answer_encode(&answer, &text) == ERR_OK);
    must(wire_answer_decode((struct str){text.at, text.len}, &back, NULL) == ERR_OK);
    must(back.granted == answer.granted && back.stop == answer.stop);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str body = {(const char *)data, size};
    struct wire_value root;
    struct wire_fault fault;
    struct wire_offer offer;
    struct wire_hello hello;
    struct wire_welcome welcome;
    struct wire_progress progress;
    struct wire_machine machine;
    struct wire_problem problem;
    int32_t rows[256];
    if (wire_open(body, &root, &fault) != ERR_OK) {
        must(fault.why != NULL && fault.at_byte <= size);
        return 0;
    }
    walk_all(root, 0);
    (void)!wire_offer_decode(body, &offer, &fault);
    (void)!wire_hello_decode(body, &hello, &fault);
    (void)!wire_welcome_decode(body, &welcome, &fault);
    (void)!wire_progress_decode(body, rows, ARRAY_COUNT(rows), &progress, &fault);
    (void)!wire_machine_decode(body, &machine, &fault);
    (void)!wire_problem_decode(body, &problem, &fault);
    try_report(body);
    try_answer(body);
    return 0;
}
