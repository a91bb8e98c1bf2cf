/* The transition table of the queue, as pure functions over one command.
 *
 *     (new) --execute_allowed--> pending --claim--> running --report--> complete | failed |
 * cancelled |                         |  ^                |
 *       +--not allowed--> held ---+--+ approve        +--silence, a boot that cannot account-->
 * unknown |      |                                                               |
 *                          +------+--> cancelled | expired | failed | rejected    complete | failed
 *
 * Everything else is refused with the verdict's name and changes nothing. */
#include "queue/queue_int.h"

static const struct {
    const char *name;
    bool final;
} state_table[QUEUE_STATE_COUNT] = {
    [QUEUE_HELD] = {"held", false},          [QUEUE_PENDING] = {"pending", false},
    [QUEUE_RUNNING] = {"running", false},    [QUEUE_COMPLETE] = {"complete", true},
    [QUEUE_FAILED] = {"failed", true},       [QUEUE_REJECTED] = {"rejected", true},
    [QUEUE_CANCELLED] = {"cancelled", true}, [QUEUE_EXPIRED] = {"expired", true},
    [QUEUE_UNKNOWN] = {"unknown", false},
};

const char *queue_state_name(enum queue_state state)
{
    return state_table[state].name;
}

bool queue_state_final(enum queue_state state)
{
    return state_table[state].final;
}

bool queue_state_parse(struct str text, enum queue_state *ret_state)
{
    for (int i = 0; i < QUEUE_STATE_COUNT; i++) {
        if (str_equal(text, str_from(state_table[i].name))) {
            *ret_state = (enum queue_state)i;
            return true;
        }
    }
    return false;
}

static const struct {
    const char *code, *text;
} verdict_table[] = {
    [QUEUE_DONE] = {"ok", "Done."},
    [QUEUE_REPEATED] = {"ok", "Done before with the same idempotency key."},
    [QUEUE_KEY_MISMATCH] = {"idempotency_mismatch",
                            "This idempotency key was used before with another body."},
    [QUEUE_TOO_MANY] = {"queue_full", "Too many commands wait for this machine already."},
    [QUEUE_BUSY] = {"busy", "This machine is busy with another command and does not queue."},
    [QUEUE_NO_COMMAND] = {"unknown_command", "There is no command with this number."},
    [QUEUE_FOREIGN] = {"foreign_command", "This command belongs to another machine."},
    [QUEUE_CLAIM_MISMATCH] = {"claim_mismatch",
                              "The command is claimed, and not by this claim. Do not act on it."},
    [QUEUE_NOT_CLAIMABLE] =
        {"not_claimable",
         "The command may not be started now: it is held, it is not its turn, another "
         "one runs or is unsettled, or the machine is on hold."},
    [QUEUE_LATE] = {"expired", "The command is past its start deadline."},
    [QUEUE_SETTLED] = {"already_settled", "The command is settled already."},
    [QUEUE_WRONG_STATE] = {"wrong_transition", "The command's state does not allow this."},
    [QUEUE_TOO_EARLY] =
        {"too_early", "A board may still begin this command for a few seconds. Look at the machine "
                      "again then."},
    [QUEUE_WRONG_JOURNAL] =
        {"wrong_journal", "Only the journal that made the claim can say that nothing was started."},
};

const char *queue_verdict_code(enum queue_verdict verdict)
{
    return verdict_table[verdict].code;
}

const char *queue_verdict_text(enum queue_verdict verdict)
{
    return verdict_table[verdict].text;
}

static bool claim_matches(const struct queue_command *command, struct id128 claim_id)
{
    if (!command->has_claim)
        return id128_is_zero(claim_id);
    return !id128_is_zero(claim_id) && id128_equal(command->claim_id, claim_id);
}

enum queue_verdict queue_rule_claim(const struct queue_command *command,
                                    const struct rule_context *context, struct str machine_id,
                                    struct id128 claim_id)
{
    if (!str_equal(command->machine_id, machine_id))
        return QUEUE_FOREIGN;
    switch (command->state) {
    case QUEUE_PENDING:
        if (context->now_ms >= command->not_after_ms)
            return QUEUE_LATE;
        if (context->on_hold || context->other_active || !context->is_head)
            return QUEUE_NOT_CLAIMABLE;
        return QUEUE_DONE;
    case QUEUE_RUNNING:
        /* A device without claim ids cannot show that it is the one: its repeat is refused too
         * (rule 3). */
        if (command->has_claim && claim_matches(command, claim_id))
            return QUEUE_DONE;
        return QUEUE_CLAIM_MISMATCH;
    case QUEUE_HELD:
        return QUEUE_NOT_CLAIMABLE;
    case QUEUE_EXPIRED:
        return QUEUE_LATE;
    case QUEUE_UNKNOWN:
        return claim_matches(command, claim_id) ? QUEUE_WRONG_STATE : QUEUE_CLAIM_MISMATCH;
    case QUEUE_COMPLETE:
    case QUEUE_FAILED:
    case QUEUE_REJECTED:
    case QUEUE_CANCELLED:
        break;
    }
    return QUEUE_SETTLED;
}

static enum queue_verdict report_on_running(const struct queue_command *command,
                                            enum queue_state outcome, struct id128 claim_id)
{
    if (!claim_matches(command, claim_id))
        return QUEUE_CLAIM_MISMATCH;
    if (outcome == QUEUE_COMPLETE || outcome == QUEUE_FAILED)
        return QUEUE_DONE;
    if (outcome == QUEUE_CANCELLED && command->stop_requested)
        return QUEUE_DONE;
    return QUEUE_WRONG_STATE;
}

static enum queue_verdict report_on_unknown(const struct queue_command *command,
                                            enum queue_state outcome, struct id128 claim_id,
                                            struct id128 journal_id)
{
    bool own_journal = command->has_claim && id128_is_zero(claim_id) &&
                       !id128_is_zero(journal_id) && id128_equal(command->journal_id, journal_id);
    if (!own_journal && !claim_matches(command, claim_id))
        return QUEUE_CLAIM_MISMATCH;
    return outcome == QUEUE_COMPLETE || outcome == QUEUE_FAILED ? QUEUE_DONE : QUEUE_WRONG_STATE;
}

enum queue_verdict queue_rule_report(const struct queue_command *command, struct str machine_id,
                                     enum queue_state outcome, struct id128 claim_id,
                                     struct id128 journal_id, struct str reason)
{
    if (!str_equal(command->machine_id, machine_id))
        return QUEUE_FOREIGN;
    enum queue_verdict verdict = QUEUE_SETTLED;
    switch (command->state) {
    case QUEUE_PENDING:
        /* Nothing was claimed, so nothing may have moved: a refusal or a failed pre-flight, without
         * a claim. */
        if (!id128_is_zero(claim_id))
            return QUEUE_CLAIM_MISMATCH;
        return outcome == QUEUE_FAILED || outcome == QUEUE_REJECTED ? QUEUE_DONE
                                                                    : QUEUE_WRONG_STATE;
    case QUEUE_RUNNING:
        verdict = report_on_running(command, outcome, claim_id);
        break;
    case QUEUE_UNKNOWN:
        verdict = report_on_unknown(command, outcome, claim_id, journal_id);
        break;
    case QUEUE_HELD:
        return QUEUE_WRONG_STATE;
    case QUEUE_COMPLETE:
    case QUEUE_FAILED:
    case QUEUE_REJECTED:
    case QUEUE_CANCELLED:
    case QUEUE_EXPIRED:
        return QUEUE_SETTLED;
    }
    /* Rule 4: a wiped or another board does not know whether the claim's board started. */
    if (verdict == QUEUE_DONE && str_equal(reason, STR("not_started")) &&
        !id128_is_zero(command->journal_id) && !id128_equal(command->journal_id, journal_id))
        return QUEUE_WRONG_JOURNAL;
    return verdict;
}

enum queue_verdict queue_rule_cancel(const struct queue_command *command)
{
    if (queue_state_final(command->state))
        return QUEUE_SETTLED;
    return command->state == QUEUE_UNKNOWN ? QUEUE_WRONG_STATE : QUEUE_DONE;
}

enum queue_verdict queue_rule_approve(const struct queue_command *command)
{
    if (queue_state_final(command->state))
        return QUEUE_SETTLED;
    return command->state == QUEUE_HELD ? QUEUE_DONE : QUEUE_WRONG_STATE;
}

enum queue_verdict queue_rule_settle(const struct queue_command *command, enum queue_state outcome)
{
    if (queue_state_final(command->state))
        return QUEUE_SETTLED;
    if (command->state != QUEUE_UNKNOWN || (outcome != QUEUE_COMPLETE && outcome != QUEUE_FAILED))
        return QUEUE_WRONG_STATE;
    return QUEUE_DONE;
}
