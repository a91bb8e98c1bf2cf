/* Objects as JSON, in the one shape that routes and events share. */
#include "web/web_int.h"

static bool is_brew(const struct queue_command *command)
{
    return str_equal(command->command, STR("brew"));
}

/* What is asked for, under each name people may look for it. */
static void show_asked(struct json_out *out, const struct queue_command *command)
{
    out_text(out, "command", command->command);
    out_raw(out, "payload", command->payload, "{}");
    if (is_brew(command))
        out_raw(out, "recipe", command->payload, "{}");
    if (command->instructions.len > 0)
        out_raw(out, "accessory_instructions", command->instructions, "{}");
    out_bool(out, "execute_allowed", command->execute_allowed);
    out_raw(out, "meta", command->meta, "{}");
    out_time(out, "created_at", command->created_at_ms);
    out_word(out, "state", queue_state_name(command->state));
    out_word(out, "status", kinds_status_word(command->kind, command->command, command->state));
    out_time(out, "not_after", command->not_after_ms);
    out_u64(out, "max_duration_s", command->max_duration_s);
}

void show_command(struct json_out *out, const char *key, const struct queue_command *command)
{
    out_open(out, key, '{');
    out_u64(out, "command_id", command->command_id);
    out_id128(out, "uid", command->uid);
    out_text(out, "machine_id", command->machine_id);
    out_text(out, "kind", command->kind);
    show_asked(out, command);
    if (command->reason.len > 0)
        out_text(out, "reason", command->reason);
    else
        out_null(out, "reason");
    out_time(out, "updated_at", command->updated_at_ms);
    out_time(out, "claimed_at", command->claimed_at_ms);
    out_time(out, "finished_at", command->finished_at_ms);
    out_text(out, "created_by", command->created_by);
    if (command->request_id.len > 0)
        out_text(out, "request_id", command->request_id);
    else
        out_null(out, "request_id");
    if (command->settled_by.len > 0)
        out_text(out, "settled_by", command->settled_by);
    if (command->evidence.len > 0)
        out_text(out, "evidence", command->evidence);
    out_bool(out, "stop_requested", command->stop_requested);
    out_bool(out, "claimed", command->has_claim);
    out_close(out, '}');
}

static void show_offer_to(struct json_out *out, const struct queue_command *command, bool own,
                          bool wide)
{
    out_open(out, NULL, '{');
    out_u64(out, "command_id", command->command_id);
    out_id128(out, "uid", command->uid);
    show_asked(out, command);
    if (own && command->has_claim)
        out_id128(out, "claim_id", command->claim_id);
    if (own && command->has_claim && wide)
        out_id128(out, "journal_id", command->journal_id);
    out_close(out, '}');
}

/* The claim id only to the board that made it: with it, anybody could report. */
void show_offer(struct json_out *out, const struct queue_command *command, bool own)
{
    show_offer_to(out, command, own, false);
}

void show_offer_wide(struct json_out *out, const struct queue_command *command, bool own)
{
    show_offer_to(out, command, own, true);
}

void show_welcome(struct json_out *out, const struct web *web, const struct fleet_machine *machine,
                  const struct queue_command *running, struct id128 journal_id)
{
    out_open(out, NULL, '{');
    out_word(out, "machine_id", machine->machine_id);
    out_word(out, "kind", machine->kind);
    out_word(out, "admission", fleet_admission_name(machine->admission));
    out_raw(out, "config", str_from(machine->config), "{}");
    if (running != NULL && running->state == QUEUE_RUNNING) {
        out_open(out, "running", '{');
        out_u64(out, "command_id", running->command_id);
        out_id128(out, "uid", running->uid);
        if (running->has_claim && id128_equal(running->journal_id, journal_id))
            out_id128(out, "claim_id", running->claim_id);
        out_close(out, '}');
    } else {
        out_null(out, "running");
    }
    out_time(out, "server_time", loop_wall_ms(web->loop));
    out_close(out, '}');
}

static void show_summary(struct json_out *out, const char *key, const struct queue_command *command)
{
    if (command == NULL) {
        out_null(out, key);
        return;
    }
    out_open(out, key, '{');
    out_u64(out, "command_id", command->command_id);
    out_id128(out, "uid", command->uid);
    show_asked(out, command);
    out_time(out, "updated_at", command->updated_at_ms);
    out_time(out, "claimed_at", command->claimed_at_ms);
    out_bool(out, "stop_requested", command->stop_requested);
    out_close(out, '}');
}

static void show_text_or_null(struct json_out *out, const char *key, const char *text)
{
    if (text == NULL || text[0] == 0)
        out_null(out, key);
    else
        out_word(out, key, text);
}

static void show_id_or_null(struct json_out *out, const char *key, struct id128 id)
{
    if (id128_is_zero(id))
        out_null(out, key);
    else
        out_id128(out, key, id);
}

static void show_hold(struct json_out *out, const struct queue_machine *queued)
{
    out_open(out, "hold", '{');
    out_bool(out, "held", queued->on_hold);
    if (queued->on_hold && queued->hold_reason.len > 0)
        out_text(out, "reason", queued->hold_reason);
    else
        out_null(out, "reason");
    out_time(out, "since", queued->on_hold ? queued->hold_since_ms : 0);
    out_close(out, '}');
}

void show_machine(struct json_out *out, const char *key, struct web *web,
                  const struct fleet_machine *machine, bool whole)
{
    static const struct id128 nobody;
    struct queue_machine queued = {0};
    (void)queue_machine_get(web->queue, str_from(machine->machine_id), &queued);
    out_open(out, key, '{');
    out_word(out, "machine_id", machine->machine_id);
    out_word(out, "kind", machine->kind);
    show_text_or_null(out, "name", machine->name);
    out_word(out, "admission", fleet_admission_name(machine->admission));
    out_bool(out, "online", machine->online);
    out_bool(out, "active", machine->active);
    out_bool(out, "mqtt", machine->mqtt > 0);
    out_time(out, "last_seen_at", machine->last_seen_at_ms);
    if (!whole)
        queued.hold_reason = STR_NONE;
    show_hold(out, &queued);
    show_text_or_null(out, "firmware", machine->firmware);
    show_id_or_null(out, "boot_id", whole ? machine->boot_id : nobody);
    show_id_or_null(out, "journal_id", whole ? machine->journal_id : nobody);
    out_raw(out, "capabilities", whole ? str_from(machine->capabilities) : STR_NONE, "{}");
    out_raw(out, "config", whole ? str_from(machine->config) : STR_NONE, "{}");
    out_raw(out, "metadata", whole ? str_from(machine->metadata) : STR_NONE, "{}");
    show_text_or_null(out, "step", machine->step);
    out_time(out, "step_since", machine->step_since_ms);
    out_raw(out, "sensors", str_from(machine->sensors), "null");
    out_time(out, "sensors_at", machine->sensors_at_ms);
    show_summary(out, "running", whole ? queued.active : NULL);
    show_summary(out, "head", whole ? queued.head : NULL);
    out_u64(out, "pending_count", queued.pending_count);
    out_u64(out, "failures_in_row", queued.failures_in_row);
    out_time(out, "created_at", machine->created_at_ms);
    out_bool(out, "demo", machine->demo);
    out_u64(out, "token_count", whole ? machine->token_count : 0);
    out_close(out, '}');
}

void show_alert(struct json_out *out, const char *key, const struct record_alert *alert)
{
    out_open(out, key, '{');
    out_u64(out, "alert_id", alert->alert_id);
    if (alert->machine_id.len > 0)
        out_text(out, "machine_id", alert->machine_id);
    else
        out_null(out, "machine_id");
    out_text(out, "code", alert->code);
    out_word(out, "severity", record_severity_name(alert->severity));
    out_text(out, "message", alert->message);
    if (alert->command_id != 0)
        out_u64(out, "command_id", alert->command_id);
    else
        out_null(out, "command_id");
    out_time(out, "raised_at", alert->raised_at_ms);
    out_time(out, "last_at", alert->last_at_ms);
    out_u64(out, "count", alert->count);
    out_time(out, "acknowledged_at", alert->acknowledged_at_ms);
    if (alert->acknowledged_by.len > 0)
        out_text(out, "acknowledged_by", alert->acknowledged_by);
    else
        out_null(out, "acknowledged_by");
    out_time(out, "resolved_at", alert->resolved_at_ms);
    out_close(out, '}');
}

void show_audit(struct json_out *out, const char *key, const struct record_row *row)
{
    out_open(out, key, '{');
    out_u64(out, "audit_id", row->audit_id);
    out_time(out, "at", row->entry.at_ms);
    out_text(out, "actor", row->entry.actor);
    out_text(out, "action", row->entry.action);
    out_text(out, "subject", row->entry.subject.at != NULL ? row->entry.subject : STR(""));
    out_raw(out, "detail", row->entry.detail, "null");
    if (row->entry.request_id.len > 0)
        out_text(out, "request_id", row->entry.request_id);
    else
        out_null(out, "request_id");
    out_hex(out, "hash", row->hash, sizeof(row->hash));
    out_close(out, '}');
}

void show_account(struct json_out *out, const char *key, const struct access_account *account)
{
    out_open(out, key, '{');
    out_i64(out, "account_id", account->account_id);
    out_word(out, "name", account->name);
    out_word(out, "role", access_role_name(account->role));
    out_bool(out, "disabled", account->disabled);
    out_time(out, "created_at", account->created_at_ms);
    out_close(out, '}');
}
