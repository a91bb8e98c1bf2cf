#include "wire/wire_int.h"

enum err wire_problem_encode(const struct wire_problem *problem, uint32_t status, struct text *text)
{
    struct wire_writer w;
    wire_begin(&w, text);
    wire_object(&w);
    wire_key(&w, "type");
    wire_put_text(&w, "about:blank");
    wire_key(&w, "status");
    wire_put_u64(&w, status);
    wire_key(&w, "code");
    wire_put_text(&w, problem->code);
    wire_object_end(&w);
    return text->overflow ? ERR_FULL : ERR_OK;
}

enum err wire_problem_decode(struct str body, struct wire_problem *ret_problem,
                             struct wire_fault *ret_fault)
{
    struct wire_fields fields;
    struct wire_problem problem = {0};
    wire_fields_open(&fields, body);
    (void)wire_field_text(&fields, "code", false, problem.code, sizeof(problem.code));
    enum err err = wire_fields_end(&fields, ret_fault);
    if (err == ERR_OK)
        *ret_problem = problem;
    return err;
}
