/* hello, and what it is answered. */
#include "wire/wire_int.h"

static void put_entry(struct wire_writer *w, const struct wire_journal_entry *entry)
{
    wire_object(w);
    wire_key(w, "uid");
    wire_put_id(w, entry->uid);
    wire_key(w, "command_id");
    wire_put_u64(w, entry->command_id);
    wire_key(w, "claim_id");
    wire_put_id(w, entry->claim_id);
    wire_key(w, "state");
    wire_put_text(w, entry->done ? "done" : "started");
    wire_object_end(w);
}

enum err wire_hello_encode(const struct wire_hello *hello, struct text *text)
{
    struct wire_writer w;
    ASSERT(hello->entry_count <= WIRE_JOURNAL_MAX);
    wire_begin(&w, text);
    wire_object(&w);
    wire_key(&w, "boot_id");
    wire_put_id(&w, hello->boot_id);
    wire_key(&w, "journal_id");
    wire_put_id(&w, hello->journal_id);
    wire_key(&w, "firmware");
    wire_put_text(&w, hello->firmware);
    wire_key(&w, "capabilities");
    wire_put_raw(&w, hello->capabilities.at != NULL ? hello->capabilities : STR("{}"));
    wire_key(&w, "journal");
    wire_array(&w);
    for (uint32_t i = 0; i < hello->entry_count; i++)
        put_entry(&w, &hello->entry[i]);
    wire_array_end(&w);
    wire_object_end(&w);
    return text->overflow ? ERR_FULL : ERR_OK;
}

static void read_entry(struct wire_fields *fields, struct wire_value value,
                       struct wire_journal_entry *entry)
{
    struct wire_fields inner = wire_fields_of(fields, value);
    char state[WIRE_NAME_BYTES] = "";
    (void)wire_field_id(&inner, "uid", true, &entry->uid);
    (void)wire_field_u64(&inner, "command_id", true, INT64_MAX, &entry->command_id);
    (void)wire_field_id(&inner, "claim_id", true, &entry->claim_id);
    (void)wire_field_text(&inner, "state", true, state, sizeof(state));
    entry->done = str_equal(str_from(state), STR("done"));
    if (!entry->done && !str_equal(str_from(state), STR("started")))
        wire_fields_fail(&inner, "journal", "unknown word");
    if (inner.bad) {
        fields->bad = true;
        fields->fault = inner.fault;
    }
}

static void read_journal(struct wire_fields *fields, struct wire_hello *hello)
{
    struct wire_value list;
    struct wire_value value;
    struct wire_value none;
    if (!wire_field(fields, "journal", false, WIRE_ARRAY, &list))
        return;
    struct wire_walk walk = wire_walk(list);
    while (!fields->bad && wire_walk_next(&walk, &none, &value)) {
        if (hello->entry_count == WIRE_JOURNAL_MAX)
            wire_fields_fail(fields, "journal", "too many entries");
        else
            read_entry(fields, value, &hello->entry[hello->entry_count++]);
    }
}

enum err wire_hello_decode(struct str body, struct wire_hello *ret_hello,
                           struct wire_fault *ret_fault)
{
    struct wire_fields fields;
    struct wire_hello hello = {0};
    struct wire_value value;
    wire_fields_open(&fields, body);
    (void)wire_field_id(&fields, "boot_id", true, &hello.boot_id);
    (void)wire_field_id(&fields, "journal_id", true, &hello.journal_id);
    (void)wire_field_text(&fields, "firmware", false, hello.firmware, sizeof(hello.firmware));
    if (wire_field(&fields, "capabilities", false, WIRE_OBJECT, &value))
        hello.capabilities = value.raw;
    read_journal(&fields, &hello);
    enum err err = wire_fields_end(&fields, ret_fault);
    if (err == ERR_OK)
        *ret_hello = hello;
    return err;
}

/* ---- the answer ---- */

static const char *const admissions[] = {
    [WIRE_ADMITTED] = "admitted",
    [WIRE_WAITING] = "waiting",
    [WIRE_BLOCKED] = "blocked",
};

enum err wire_welcome_encode(const struct wire_welcome *welcome, struct text *text)
{
    struct wire_writer w;
    ASSERT((size_t)welcome->admission < ARRAY_COUNT(admissions));
    wire_begin(&w, text);
    wire_object(&w);
    wire_key(&w, "admission");
    wire_put_text(&w, admissions[welcome->admission]);
    if (!id128_is_zero(welcome->boot_id)) {
        wire_key(&w, "boot_id");
        wire_put_id(&w, welcome->boot_id);
    }
    if (welcome->config.at != NULL) {
        wire_key(&w, "config");
        wire_put_raw(&w, welcome->config);
    }
    wire_key(&w, "running");
    if (welcome->has_running) {
        wire_object(&w);
        wire_key(&w, "command_id");
        wire_put_u64(&w, welcome->running_command_id);
        wire_key(&w, "uid");
        wire_put_id(&w, welcome->running_uid);
        if (!id128_is_zero(welcome->running_claim_id)) {
            wire_key(&w, "claim_id");
            wire_put_id(&w, welcome->running_claim_id);
        }
        wire_object_end(&w);
    } else {
        wire_put_null(&w);
    }
    wire_object_end(&w);
    return text->overflow ? ERR_FULL : ERR_OK;
}

static void read_running(struct wire_fields *fields, struct wire_welcome *welcome)
{
    struct wire_value value;
    if (!wire_field(fields, "running", false, WIRE_OBJECT, &value))
        return;
    struct wire_fields inner = wire_fields_of(fields, value);
    welcome->has_running = true;
    (void)wire_field_u64(&inner, "command_id", true, INT64_MAX, &welcome->running_command_id);
    (void)wire_field_id(&inner, "uid", true, &welcome->running_uid);
    (void)wire_field_id(&inner, "claim_id", false, &welcome->running_claim_id);
    if (inner.bad) {
        fields->bad = true;
        fields->fault = inner.fault;
    }
}

enum err wire_welcome_decode(struct str body, struct wire_welcome *ret_welcome,
                             struct wire_fault *ret_fault)
{
    struct wire_fields fields;
    struct wire_welcome welcome = {0};
    struct wire_value value;
    char word[WIRE_NAME_BYTES];
    wire_fields_open(&fields, body);
    if (wire_field_text(&fields, "admission", true, word, sizeof(word))) {
        size_t i = 0;
        while (i < ARRAY_COUNT(admissions) && !str_equal(str_from(word), str_from(admissions[i])))
            i++;
        if (i == ARRAY_COUNT(admissions))
            wire_fields_fail(&fields, "admission", "unknown word");
        else
            welcome.admission = (enum wire_admission)i;
    }
    if (wire_field(&fields, "config", false, WIRE_OBJECT, &value))
        welcome.config = value.raw;
    (void)wire_field_id(&fields, "boot_id", false, &welcome.boot_id);
    read_running(&fields, &welcome);
    enum err err = wire_fields_end(&fields, ret_fault);
    if (err == ERR_OK)
        *ret_welcome = welcome;
    return err;
}
