#!/usr/bin/env python3
"""Plant known bugs one by one and show that the world finds each.

Each bug is a small edit of a source file, which must fit exactly once.  The edited file is compiled with the flags of
the build and linked before the libraries, so that it takes the place of the real one; then seeds run until a rule
breaks.  A bug that survives all seeds, and a breach without a bug, are failures."""
import argparse
import json
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
SEEDS = 400

# name: what it is, [(file, old, new), ...]
BUGS = {
    "answer_before_commit": ("the answer leaves before the commit is on disk", [
        ("src/store/store_db.c", "PRAGMA synchronous = FULL;", "PRAGMA synchronous = OFF;")]),
    "check_consumes": ("a check takes the command out of the queue", [
        ("src/queue/queue.c", "    return queue_slot_offer(queue, slot);\n",
         "    const struct queue_command *offer = queue_slot_offer(queue, slot);\n"
         "    if (offer != NULL)\n"
         "        ((struct machine_slot *)(uintptr_t)slot)->head = NULL;\n"
         "    return offer;\n")]),
    "claim_granted_twice": ("a second claim is granted while the first runs", [
        ("src/queue/queue_rules.c",
         "        if (command->has_claim && claim_matches(command, claim_id))\n"
         "            return QUEUE_DONE;\n"
         "        return QUEUE_CLAIM_MISMATCH;",
         "        return QUEUE_DONE;")]),
    "report_under_wrong_claim": ("a report is taken whatever claim it names", [
        ("src/queue/queue_rules.c",
         "    return !id128_is_zero(claim_id) && id128_equal(command->claim_id, claim_id);",
         "    return true;")]),
    "timeout_requeues": ("a silent command is offered again", [
        ("src/queue/queue_run.c", "    command->state = QUEUE_UNKNOWN;\n    command->reason = reason;",
         "    command->state = str_equal(reason, STR(\"silence\")) ? QUEUE_PENDING : QUEUE_UNKNOWN;\n"
         "    command->not_after_ms = op->now_ms + 60000;\n    command->reason = reason;")]),
    "journal_after_acting": ("the board acts first and writes its journal afterwards", [
        ("src/device/device_claim.c", "    if (write_started(device, &entry) != ERR_OK) {\n",
         "    const struct device_command early = {.command_id = device->command_id, .uid = device->uid,\n"
         "                                         .name = str_from(device->command_name)};\n"
         "    device_act_begin(device, &early);\n"
         "    if (write_started(device, &entry) != ERR_OK) {\n"),
        ("src/device/device_claim.c", "    device_act_begin(device, &command);\n}", "    (void)command;\n}")]),
    "boot_runs_again": ("after a boot the board begins again what its journal says was started", [
        ("src/device/device_ask.c", "        account_for(device, &offer, entry);",
         "        {\n"
         "            const struct device_command again = {.command_id = offer.command_id, .uid = offer.uid,\n"
         "                                                 .name = str_from(offer.command)};\n"
         "            device->command_id = offer.command_id;\n"
         "            device->uid = offer.uid;\n"
         "            device->claim_id = offer.claim_id;\n"
         "            device->start_by_ms = device->end_by_ms = device_now(device) + 20000;\n"
         "            device_act_begin(device, &again);\n"
         "        }"),
        ("src/device/device_report.c", "    struct device_outcome outcome = device_outcome_of(entry);\n"
         "    device->stats.interrupted += entry->state == JOURNAL_STARTED;",
         "    if (entry->state == JOURNAL_STARTED) {\n"
         "        device->phase = DEVICE_POLL;\n"
         "        return;\n"
         "    }\n"
         "    struct device_outcome outcome = device_outcome_of(entry);\n"
         "    device->stats.interrupted += entry->state == JOURNAL_STARTED;")]),
    "boot_forgets": ("after a boot the board does not look into its journal", [
        ("src/device/device_ask.c",
         "    const struct journal_entry *entry = journal_find(&device->journal, offer.uid);",
         "    const struct journal_entry *entry = NULL;"),
        ("src/device/device_report.c",
         "    const struct journal_entry *entry = journal_unheard(&device->journal);",
         "    const struct journal_entry *entry = NULL;")]),
    "grant_too_late": ("a grant is honoured however late it comes", [
        ("src/device/device_claim.c",
         "    return now >= device->start_by_ms ||\n"
         "           now >= device->end_by_ms - (int64_t)device->options.kind->wind_down_ms;",
         "    (void)now;\n    return false;")]),
    "key_lost_in_crash": ("idempotency keys live in memory only", [
        ("src/queue/queue_sql.c", "enum err queue_sql_key_find(", """static struct {
    char scope[64], key[64];
    uint8_t hash[32];
    uint64_t command_id;
} planted_keys[1000];
static int planted_count;

enum err queue_sql_key_find("""),
        ("src/queue/queue_sql.c", "    struct store_stmt *stmt = prepare(db, STMT_KEY_FIND);", """    for (int i = 0; i < planted_count; i++) {
        if (str_equal(str_from(planted_keys[i].key), key)) {
            base_copy(ret_hash, planted_keys[i].hash, 32);
            *ret_command_id = planted_keys[i].command_id;
            return ERR_OK;
        }
    }
    if (planted_count >= 0)
        return ERR_NOT_FOUND;
    struct store_stmt *stmt = prepare(db, STMT_KEY_FIND);"""),
        ("src/queue/queue_sql.c", "    struct store_stmt *stmt = prepare(db, STMT_KEY_ADD);", """    if (planted_count < 1000 && scope.len < 64 && key.len < 64) {
        base_copy(planted_keys[planted_count].key, key.at, key.len);
        planted_keys[planted_count].key[key.len] = 0;
        base_copy(planted_keys[planted_count].hash, hash, 32);
        planted_keys[planted_count++].command_id = command_id;
        return ERR_OK;
    }
    struct store_stmt *stmt = prepare(db, STMT_KEY_ADD);"""),
        ("src/queue/queue_sql.c", "    struct store_stmt *stmt = prepare(db, STMT_MACHINES);",
         "    planted_count = 0;\n    struct store_stmt *stmt = prepare(db, STMT_MACHINES);")]),
    "wiped_journal_not_started": ("a board with a wiped journal is shown another's claim, says that nothing was "
                                  "started, and is believed", [
        ("src/queue/queue_rules.c", "    if (verdict == QUEUE_DONE && str_equal(reason, STR(\"not_started\")) &&",
         "    if (false && verdict == QUEUE_DONE && str_equal(reason, STR(\"not_started\")) &&"),
        ("src/queue/queue_run.c", "    if (!foreign_boot)\n", "    if (foreign_boot || !foreign_boot)\n"),
        ("src/queue/queue.c", "    if (active != NULL && active->state == QUEUE_RUNNING && active->has_claim &&",
         "    if (active != NULL && active->state == QUEUE_RUNNING && active->has_claim) {\n"
         "        *ret_own = true;\n        return active;\n    }\n"
         "    if (active != NULL && active->state == QUEUE_RUNNING && active->has_claim &&")]),
    "puback_before_commit": ("a reading is acknowledged when it is queued, not when it is stored", [
        ("src/telemetry/batch.c", "    batch->messages[index] = *message;\n",
         "    batch->messages[index] = *message;\n"
         "    if (batch->messages[index].done != NULL)\n"
         "        batch->messages[index].done(batch->messages[index].cookie, ERR_OK);\n"
         "    batch->messages[index].done = NULL;\n")]),
    "receipt_not_written": ("what came from a session is stored without saying that it came", [
        ("src/telemetry/batch_run.c", "        enum err err = store_ride(db, &message->receipt);",
         "        enum err err = ERR_OK;")]),
    "receipts_forgotten": ("a server that starts does not know what its sessions had sent", [
        ("src/broker/sql.c", "\"SELECT number, packet_key FROM mqtt_receipts WHERE session_id = ?1 \"",
         "\"SELECT number, packet_key FROM mqtt_receipts WHERE session_id = ?1 AND number < 0 \"")]),
    "result_not_matched": ("a board takes any claim's result for its own", [
        ("src/device/device_mqtt_in.c",
         "    if (ask == NULL || !id128_equal(result.claim_id, ask->claim_id) ||\n"
         "        !id128_equal(result.uid, ask->uid) || result.command_id != ask->command_id) {",
         "    if (ask == NULL) {")]),
    "offer_taken_for_a_grant": ("an offer that is shown again while it is claimed is taken for the grant", [
        ("src/device/device_mqtt_in.c", "    device_hurry(mqtt->device);\n    give_offer(mqtt);",
         "    device_hurry(mqtt->device);\n"
         "    const struct device_mqtt_ask *planted = asked(mqtt, DEVICE_MQTT_CLAIM);\n"
         "    if (planted != NULL && id128_equal(planted->uid, offer.uid)) {\n"
         "        const struct wire_claim_result yes = {.command_id = offer.command_id, .granted = true,\n"
         "                                              .start_within_ms = 15000, .max_duration_s = 30};\n"
         "        grant(mqtt, &yes);\n"
         "    }\n"
         "    give_offer(mqtt);"),
        ("src/device/device_mqtt_in.c", "static void on_offer(struct device_mqtt *mqtt, struct str payload)\n{",
         "static void grant(struct device_mqtt *mqtt, const struct wire_claim_result *result);\n\n"
         "static void on_offer(struct device_mqtt *mqtt, struct str payload)\n{")]),
    "clone_same_claim": ("claim ids are not made up anew, so a clone with the same credentials makes the same one", [
        ("src/device/device_claim.c",
         "    if (device->hal.random(device->hal.context, claim_id.byte, sizeof(claim_id.byte)) != ERR_OK) {",
         "    claim_id = offer->uid;\n    if (false) {")]),
}

def planted_sources(bug, folder):
    """Copies of the edited files; an edit that does not fit exactly once is an error of this script."""
    texts = {}
    for name, old, new in BUGS[bug][1]:
        text = texts.get(name) or (TOP / name).read_text()
        if text.count(old) != 1:
            raise SystemExit(f"plant: {bug}: this fits {text.count(old)} times in {name}:\n{old}")
        texts[name] = text.replace(old, new)
    paths = {}
    for name, text in texts.items():
        path = folder / name.replace("/", "__")
        path.write_text(text)
        paths[name] = path
    return paths


def build(bug, build_dir, folder):
    commands = {pathlib.Path(c["file"]): c for c in json.loads((build_dir / "compile_commands.json").read_text())}
    objects = []
    for name, path in planted_sources(bug, folder).items():
        entry = commands[TOP / name]
        words = shlex.split(entry["command"])
        words = [w for w in words if w not in ("-MD",) and not w.startswith("-Werror")]
        out = path.with_suffix(".o")
        words[words.index("-o") + 1] = str(out)
        words[words.index("-c") + 1] = str(path)
        subprocess.run(words, cwd=entry["directory"], check=True)
        objects.append(str(out))
    listing = subprocess.run(["ninja", "-t", "commands", "tests/world/world_run"], cwd=build_dir, check=True,
                             capture_output=True, text=True).stdout.strip().split("\n")
    link = re.sub(r"^: && | && :$", "", listing[-1])
    words = shlex.split(link)
    program = folder / f"world_{bug}"
    words[words.index("-o") + 1] = str(program)
    first_lib = next(i for i, w in enumerate(words) if w.endswith(".a"))
    words[first_lib:first_lib] = objects
    subprocess.run(words, cwd=build_dir, check=True)
    return program


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--bug", choices=sorted(BUGS), help="this one only")
    arguments = parser.parse_args()
    found = missed = 0
    with tempfile.TemporaryDirectory() as name:
        for bug in [arguments.bug] if arguments.bug else BUGS:
            program = build(bug, arguments.build, pathlib.Path(name))
            began = time.monotonic()
            run = subprocess.run([str(program), "1", str(SEEDS)], capture_output=True, text=True,
                                 env={"ASAN_OPTIONS": "detect_leaks=0"})
            lines = (run.stdout + run.stderr).strip().split("\n")
            if run.returncode == 1 and lines[0].startswith("seed "):
                found += 1
                print(f"found  {bug} ({time.monotonic() - began:.1f} s): {lines[0]}")
            else:
                missed += 1
                print(f"MISSED {bug}: {BUGS[bug][0]}; exit {run.returncode}: {lines[-1][:300]}")
            sys.stdout.flush()
    print(f"{found} passed, {missed} failed")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
