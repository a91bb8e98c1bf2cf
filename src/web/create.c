/* POST /api/commands/create: three ways to ask, one way to be checked. */
#include "web/routes_int.h"

#include <string.h>

struct creation {
    struct str command; /* as the body had it */
    const json_t *payload, *instructions, *target_slot;
    const char *payload_name, *instructions_name;
    bool execute_allowed;
    int64_t not_after_s, max_duration_s; /* 0: the kind's own */
    struct str meta;
    struct kinds_accepted accepted;
};

static void created(void *cookie, enum err err, enum queue_verdict verdict, uint64_t command_id)
{
    struct web_call *call = cookie;
    const struct creation *creation = call->more;
    if (err != ERR_OK) {
        web_reply_err(call, err);
        return;
    }
    if (verdict != QUEUE_DONE && verdict != QUEUE_REPEATED) {
        web_reply_verdict(call, verdict);
        return;
    }
    struct json_out *out = &call->out;
    out_open(out, NULL, '{');
    out_word(out, "status", "created");
    out_u64(out, "command_id", command_id);
    if (creation->accepted.warning_count > 0) {
        out_open(out, "warnings", '[');
        for (size_t i = 0; i < creation->accepted.warning_count; i++)
            out_word(out, NULL, creation->accepted.warnings[i]);
        out_close(out, ']');
    }
    out_close(out, '}');
    web_reply_json(call, 201);
}

static void submit(struct web_call *call, const struct kinds_kind *kind,
                   const struct kinds_command *command)
{
    struct creation *creation = call->more;
    struct queue_new order = {
        .kind = &kind->queue,
        .machine_id = str_from(call->machine_id),
        .command = str_from(command->name),
        .payload = creation->accepted.payload,
        .instructions = creation->accepted.instructions,
        .meta = creation->meta,
        .execute_allowed = creation->execute_allowed,
        .not_after_s = (uint32_t)creation->not_after_s,
        .max_duration_s = (uint32_t)creation->max_duration_s,
        .actor = str_from(call->actor),
        .request_id = str_from(call->request_id),
    };
    if (call->idempotency_key.at != NULL) {
        const char *scope = arena_printf(&call->scratch, "%s create", call->actor);
        if (scope == NULL) {
            web_reply_err(call, ERR_NOMEM);
            return;
        }
        order.key_scope = str_from(scope);
        order.key = call->idempotency_key;
        memcpy(order.body_hash, call->body_hash, sizeof(order.body_hash));
    }
    enum err err = queue_submit(call->web->queue, &order, created, call);
    if (err != ERR_OK)
        web_reply_err(call, err);
}

/* Rule 10: a refusal by a named rule makes no command, but the audit knows of it. */
static void refuse(struct web_call *call, const struct kinds_refusal *refusal)
{
    queue_note_refusal(call->web->queue, str_from(call->machine_id), str_from(call->actor),
                       str_from(refusal->code), str_from(refusal->field),
                       str_from(call->request_id));
    web_hub_records(call->web->hub);
    web_reply_refusal(call, refusal);
}

static void check(struct web_call *call, const struct fleet_machine *machine,
                  const struct kinds_kind *kind, const struct kinds_command *command)
{
    struct creation *creation = call->more;
    struct kinds_refusal refusal = {.code = "bad_value"};
    bool plain = str_equal(str_from(machine->config), STR("{}"));
    json_t *config = plain ? NULL : json_loads(machine->config, 0, NULL);
    struct kinds_order order = {.command = command,
                                .payload = creation->payload,
                                .instructions = creation->instructions,
                                .config = config,
                                .payload_name = creation->payload_name,
                                .instructions_name = creation->instructions_name};
    enum err err = kind->check(&order, &call->scratch, &creation->accepted, &refusal);
    json_decref(config);
    if (err == ERR_OK)
        submit(call, kind, command);
    else if (err == ERR_REFUSED)
        refuse(call, &refusal);
    else if (err == ERR_INPUT)
        web_reply_refusal(call, &refusal);
    else
        web_reply_err(call, err);
}

/* {command, payload}: for a brew the payload is the recipe, or holds it. */
static bool payload_open(struct web_call *call, struct creation *creation)
{
    if (json_object_get(creation->payload, "recipe") == NULL)
        return true;
    struct kinds_refusal refusal;
    struct kinds_reader reader;
    const char *outer = creation->payload_name;
    kinds_read_begin(&reader, creation->payload, outer, &refusal);
    const json_t *recipe = kinds_read_object(&reader, "recipe", true);
    const json_t *first = kinds_read_object(&reader, "accessory_instructions", false);
    const json_t *second = kinds_read_object(&reader, "actuator_sequence", false);
    if (!web_read_end(call, &reader))
        return false;
    creation->payload = recipe;
    creation->payload_name = arena_printf(&call->scratch, "%s.recipe", outer);
    if (first == NULL && second == NULL)
        return creation->payload_name != NULL;
    creation->instructions = first != NULL ? first : second;
    creation->instructions_name =
        arena_printf(&call->scratch, "%s.%s", outer,
                     first != NULL ? "accessory_instructions" : "actuator_sequence");
    return true;
}

static void machine_known(struct web_call *call, const struct fleet_machine *machine)
{
    struct creation *creation = call->more;
    if (machine->admission != FLEET_ADMITTED) {
        bool waits = machine->admission == FLEET_WAITING;
        web_reply_code(call, 403, waits ? "machine_waiting" : "machine_blocked",
                       waits ? "This machine has not been admitted yet."
                             : "This machine is blocked.");
        return;
    }
    const struct kinds_kind *kind = kinds_find(str_from(machine->kind));
    const struct kinds_command *command =
        kind != NULL ? kinds_command_find(kind, creation->command) : NULL;
    struct kinds_refusal refusal = {.code = "unsupported_command",
                                    .field = "command",
                                    .sentence = "This kind of machine has no such command."};
    if (command == NULL) {
        refuse(call, &refusal);
        return;
    }
    if (creation->target_slot != NULL) {
        refusal = (struct kinds_refusal){.code = "unknown_field",
                                         .field = "target_slot",
                                         .sentence = "This command has no target slot."};
        web_reply_refusal(call, &refusal);
        return;
    }
    if (payload_open(call, creation))
        check(call, machine, kind, command);
}

/* Which of the three ways it is.  Every one of them ends with a command and a payload. */
static void read_way(struct kinds_reader *reader, struct creation *creation)
{
    struct str command = STR_NONE, command_type = STR_NONE;
    kinds_read_text(reader, "command", false, 64, &command);
    kinds_read_text(reader, "command_type", false, 64, &command_type);
    const json_t *recipe = kinds_read_object(reader, "recipe", false);
    const json_t *payload = kinds_read_object(reader, "payload", false);
    const json_t *payload_json = kinds_read_object(reader, "payload_json", false);
    creation->target_slot = kinds_read_any(reader, "target_slot", false);
    if ((recipe != NULL) + (payload != NULL) + (payload_json != NULL) > 1 ||
        (command.at != NULL && command_type.at != NULL))
        kinds_read_fault(reader, "bad_value", recipe != NULL ? "recipe" : "command",
                         "The command is given twice.");
    creation->command = command.at != NULL        ? command
                        : command_type.at != NULL ? command_type
                                                  : STR("brew");
    if (command.at == NULL && command_type.at == NULL && recipe == NULL)
        kinds_read_fault(reader, "missing_field", "recipe",
                         "A recipe, or a command with its payload, is required.");
    creation->payload = recipe != NULL ? recipe : payload != NULL ? payload : payload_json;
    creation->payload_name = recipe != NULL    ? "recipe"
                             : payload != NULL ? "payload"
                                               : "payload_json";
    if (creation->payload == NULL)
        kinds_read_fault(reader, "missing_field", "payload", "This field is required.");
}

static void read_instructions(struct kinds_reader *reader, struct creation *creation)
{
    const json_t *first = kinds_read_object(reader, "accessory_instructions", false);
    const json_t *second = kinds_read_object(reader, "actuator_sequence", false);
    if (first != NULL && second != NULL)
        kinds_read_fault(reader, "bad_value", "actuator_sequence",
                         "This is another name for accessory_instructions: give one of them.");
    creation->instructions = first != NULL ? first : second;
    creation->instructions_name = first != NULL ? "accessory_instructions" : "actuator_sequence";
}

/* --open: what a machine must be that is mentioned with this command for the first time. */
static struct str first_kind(struct str command)
{
    for (const struct kinds_kind *const *kind = kinds_all(); *kind != NULL; kind++) {
        if (kinds_command_find(*kind, command) != NULL)
            return str_from((*kind)->name);
    }
    return STR("espresso");
}

void web_command_create(struct web_call *call)
{
    struct creation *creation = arena_alloc(&call->scratch, sizeof(*creation));
    if (creation == NULL) {
        web_reply_err(call, ERR_NOMEM);
        return;
    }
    call->more = creation;
    creation->execute_allowed = true;
    struct kinds_refusal refusal;
    struct kinds_reader reader;
    struct str machine_id = STR_NONE;
    web_read_body(call, &reader, &refusal);
    kinds_read_text(&reader, "machine_id", true, ID_BYTES_MAX, &machine_id);
    if (machine_id.at != NULL && !id_valid(machine_id))
        kinds_read_fault(&reader, "bad_value", "machine_id", "This is not a machine's name.");
    read_way(&reader, creation);
    read_instructions(&reader, creation);
    kinds_read_bool(&reader, "execute_allowed", false, &creation->execute_allowed);
    const json_t *meta = kinds_read_object(&reader, "meta", false);
    (void)kinds_read_i64(&reader, "not_after_s", false, 1, 7 * 86400, &creation->not_after_s);
    (void)kinds_read_i64(&reader, "max_duration_s", false, 1, 3600, &creation->max_duration_s);
    if (!web_read_end(call, &reader))
        return;
    if ((creation->not_after_s != 0 || creation->max_duration_s != 0) &&
        !access_allows(call->caller.role, ACCESS_COMMAND_APPROVE)) {
        web_reply_code(call, 403, "forbidden", "Only staff may choose a command's deadlines.");
        return;
    }
    if (str_copy(call->machine_id, sizeof(call->machine_id), machine_id) != ERR_OK) {
        web_reply_err(call, ERR_INPUT);
        return;
    }
    creation->meta = web_json_text(call, meta);
    if (creation->meta.len > WEB_META_BYTES_MAX) {
        web_reply_code(call, 413, "too_large", "A command's meta has at most 4 KiB.");
        return;
    }
    web_machine_needed(call, first_kind(creation->command), machine_known);
}
