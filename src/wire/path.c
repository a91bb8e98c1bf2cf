#include "wire/wire_int.h"

void wire_path_check(struct text *text, struct str machine_id, uint32_t wait_s)
{
    text_add(text, STR("/api/commands/check/"));
    text_add(text, machine_id);
    if (wait_s != 0) {
        text_add(text, STR("?wait="));
        text_add_u64(text, wait_s);
    }
}

void wire_path_update(struct text *text, uint64_t command_id)
{
    text_add(text, STR("/api/commands/update/"));
    text_add_u64(text, command_id);
}

void wire_path_progress(struct text *text, uint64_t command_id)
{
    text_add(text, STR("/api/commands/progress/"));
    text_add_u64(text, command_id);
}

void wire_path_hello(struct text *text, struct str machine_id)
{
    text_add(text, STR("/api/machines/"));
    text_add(text, machine_id);
    text_add(text, STR("/hello"));
}

void wire_path_machine(struct text *text, struct str machine_id)
{
    text_add(text, STR("/api/machines/"));
    text_add(text, machine_id);
    text_add(text, STR("/progress"));
}
