/* What the messages of one turn of the loop become.
 *
 *   ingest --> open --(the turn ends)--> the store --(commit)--> done, watchers
 *                \--(4,096 rows)--> ready --^
 *
 * At most FLIGHT_MAX batches are at the store; what comes meanwhile gathers in `open`, so under
 * load the batches grow, and many readings of one series cost one rollup. */
#include "telemetry/telemetry_room_int.h"

#include <string.h>

/* ---- their memory ---- */

static void batch_free(struct telemetry_batch *batch)
{
    if (batch->prev != NULL)
        batch->prev->next = batch->next;
    else
        batch->telemetry->batches = batch->next;
    if (batch->next != NULL)
        batch->next->prev = batch->prev;
    mem_free(batch->rows);
    mem_free((void *)batch->order);
    mem_free(batch->messages);
    buf_finish(&batch->encoded);
    mem_free(batch);
}

/* One is kept for the next turn, unless it grew in a flood. */
static void batch_recycle(struct telemetry_batch *batch)
{
    struct telemetry *telemetry = batch->telemetry;
    if (telemetry->spare != NULL) {
        batch_free(batch);
        return;
    }
    batch->row_count = 0;
    batch->message_count = 0;
    telemetry->spare = batch;
}

static struct telemetry_batch *batch_get(struct telemetry *telemetry)
{
    struct telemetry_batch *batch = telemetry->spare;
    if (batch != NULL) {
        telemetry->spare = NULL;
        return batch;
    }
    batch = mem_zalloc(sizeof(*batch));
    if (batch == NULL)
        return NULL;
    batch->telemetry = telemetry;
    buf_init(&batch->encoded, TELEMETRY_OUTBOX_BYTES_MAX);
    batch->next = telemetry->batches;
    if (batch->next != NULL)
        batch->next->prev = batch;
    telemetry->batches = batch;
    return batch;
}

void telemetry_batches_finish(struct telemetry *telemetry)
{
    while (telemetry->batches != NULL)
        batch_free(telemetry->batches);
}

static enum err reserve_rows(struct telemetry_batch *batch, uint32_t more)
{
    uint32_t cap = batch->row_cap == 0 ? 32 : batch->row_cap;
    while (cap < batch->row_count + more)
        cap *= 2;
    if (cap == batch->row_cap)
        return ERR_OK;
    struct telemetry_row *rows = mem_realloc(batch->rows, cap * sizeof(struct telemetry_row));
    if (rows == NULL)
        return ERR_NOMEM;
    batch->rows = rows;
    const struct telemetry_row **order =
        mem_realloc((void *)batch->order, cap * sizeof(struct telemetry_row *));
    if (order == NULL)
        return ERR_NOMEM;
    batch->order = order;
    batch->row_cap = cap;
    return ERR_OK;
}

static enum err reserve_message(struct telemetry_batch *batch)
{
    if (batch->message_count < batch->message_cap)
        return ERR_OK;
    uint32_t cap = batch->message_cap == 0 ? 16 : batch->message_cap * 2;
    struct telemetry_message *messages =
        mem_realloc(batch->messages, cap * sizeof(struct telemetry_message));
    if (messages == NULL)
        return ERR_NOMEM;
    batch->messages = messages;
    batch->message_cap = cap;
    return ERR_OK;
}

/* ---- after the commit ---- */

/* A reading from the "future" (server time stood wrong when it came) does not hide what comes now.
 */
static bool is_newer(const struct telemetry_series *series, int64_t at_ms, int64_t now_ms)
{
    return !series->has_latest || at_ms >= series->at_ms ||
           series->at_ms > now_ms + TELEMETRY_FUTURE_MS;
}

static void remember(const struct telemetry_row *row, const struct telemetry_message *message,
                     int64_t now_ms)
{
    struct telemetry_series *series = row->series;
    series->stored = true;
    if (!is_newer(series, row->at_ms, now_ms))
        return;
    series->has_latest = true;
    series->at_ms = row->at_ms;
    series->value = row->value;
    series->received_at_ms = message->received_at_ms;
    series->provenance = (enum telemetry_provenance)row->provenance;
}

static void tell_watchers(struct telemetry *telemetry, const struct telemetry_row *rows,
                          const struct telemetry_message *message)
{
    struct telemetry_reading readings[TELEMETRY_READINGS_MAX];
    for (uint32_t i = 0; i < message->row_count; i++) {
        const struct telemetry_row *row = &rows[message->first_row + i];
        readings[i] = (struct telemetry_reading){
            .value = row->value,
            .at_ms = row->at_ms,
            .provenance = (enum telemetry_provenance)row->provenance,
        };
        memcpy(readings[i].type, row->series->type, sizeof(readings[i].type));
    }
    struct str machine_id = telemetry_machine_id(rows[message->first_row].series->machine);
    const char *request_id = message->request_id[0] != '\0' ? message->request_id : NULL;
    for (uint32_t i = 0; i < telemetry->watcher_count; i++)
        telemetry->watcher[i].stored(telemetry->watcher[i].cookie, machine_id, readings,
                                     message->row_count, request_id);
}

static void message_stored(struct telemetry *telemetry, const struct telemetry_batch *batch,
                           const struct telemetry_message *message, int64_t now_ms)
{
    if (message->duplicate) {
        telemetry->duplicates++;
        return;
    }
    for (uint32_t i = 0; i < message->row_count; i++)
        remember(&batch->rows[message->first_row + i], message, now_ms);
    telemetry->messages++;
    telemetry->readings += message->row_count;
}

/* First what memory knows, for all of them; then everybody who asked (a PUBACK waits for it); then
 * those who look on. */
static void batch_settle(struct telemetry_batch *batch, enum err err)
{
    struct telemetry *telemetry = batch->telemetry;
    enum err told = err == ERR_OK || err == ERR_FULL ? err : ERR_IO;
    int64_t now_ms = telemetry_now_ms(telemetry);
    telemetry->pending -= batch->row_count;
    for (uint32_t i = 0; err == ERR_OK && i < batch->message_count; i++)
        message_stored(telemetry, batch, &batch->messages[i], now_ms);
    if (err == ERR_OK && batch->outbox)
        telemetry->sink_ops->kick(telemetry->sink);
    for (uint32_t i = 0; i < batch->message_count; i++)
        if (batch->messages[i].done != NULL)
            batch->messages[i].done(batch->messages[i].cookie, told);
    for (uint32_t i = 0; err == ERR_OK && i < batch->message_count; i++)
        if (!batch->messages[i].duplicate)
            tell_watchers(telemetry, batch->rows, &batch->messages[i]);
    batch_recycle(batch);
}

/* ---- on their way ---- */

static void pump(struct telemetry *telemetry, uint32_t flight_max);

static void batch_done(struct store_job *job, enum err err)
{
    struct telemetry_batch *batch = (struct telemetry_batch *)(void *)job;
    struct telemetry *telemetry = batch->telemetry;
    telemetry->in_flight--;
    batch_settle(batch, err);
    pump(telemetry, FLIGHT_MAX);
}

static enum err batch_submit(struct telemetry_batch *batch)
{
    struct telemetry *telemetry = batch->telemetry;
    batch->job = (struct store_job){.run = telemetry_batch_run, .done = batch_done, .again = true};
    batch->outbox = telemetry->outbox_on;
    batch->submitted_ms = telemetry_now_ms(telemetry);
    enum err err = store_write(telemetry->options.store, &batch->job);
    telemetry->in_flight += err == ERR_OK;
    return err;
}

/* The next one to go, or NULL. */
static struct telemetry_batch *take_next(struct telemetry *telemetry)
{
    struct telemetry_batch *batch = telemetry->ready_head;
    if (batch != NULL) {
        telemetry->ready_head = batch->next_ready;
        if (telemetry->ready_head == NULL)
            telemetry->ready_tail = NULL;
        return batch;
    }
    batch = telemetry->open;
    telemetry->open = NULL;
    return batch;
}

/* Never from inside ingest with a loop: a batch that the store refuses calls its dones here. */
static void pump(struct telemetry *telemetry, uint32_t flight_max)
{
    while (telemetry->in_flight < flight_max) {
        struct telemetry_batch *batch = take_next(telemetry);
        if (batch == NULL)
            return;
        enum err err = batch_submit(batch);
        if (err != ERR_OK)
            batch_settle(batch, err);
    }
}

void telemetry_batch_fire(void *cookie)
{
    struct telemetry *telemetry = cookie;
    telemetry->turn_set = false;
    pump(telemetry, FLIGHT_MAX);
}

void telemetry_flush(struct telemetry *telemetry)
{
    pump(telemetry, UINT32_MAX);
}

static void close_full(struct telemetry *telemetry)
{
    struct telemetry_batch *batch = telemetry->open;
    batch->next_ready = NULL;
    if (telemetry->ready_tail != NULL)
        telemetry->ready_tail->next_ready = batch;
    else
        telemetry->ready_head = batch;
    telemetry->ready_tail = batch;
    telemetry->open = NULL;
}

/* Without a loop there is no end of a turn. */
static enum err submit_alone(struct telemetry *telemetry)
{
    struct telemetry_batch *batch = telemetry->open;
    telemetry->open = NULL;
    enum err err = batch_submit(batch);
    if (err != ERR_OK) {
        telemetry->pending -= batch->row_count;
        batch_recycle(batch);
    }
    return err;
}

/* ---- taking one in ---- */

static void append(struct telemetry_batch *batch, struct telemetry_series *const *series,
                   const struct telemetry_reading *readings, uint32_t count,
                   const struct telemetry_message *message)
{
    uint32_t index = batch->message_count++;
    batch->messages[index] = *message;
    batch->messages[index].first_row = batch->row_count;
    batch->messages[index].row_count = count;
    for (uint32_t i = 0; i < count; i++)
        batch->rows[batch->row_count++] = (struct telemetry_row){
            .series = series[i],
            .at_ms = readings[i].at_ms,
            .value = readings[i].value,
            .message = index,
            .provenance = (uint8_t)readings[i].provenance,
            .series_new = !series[i]->stored,
        };
    batch->telemetry->pending += count;
}

static enum err find_series(struct telemetry *telemetry, struct str machine_id,
                            const struct telemetry_reading *readings, uint32_t count,
                            struct telemetry_series **series)
{
    for (uint32_t i = 0; i < count; i++) {
        struct str type = str_from(readings[i].type);
        series[i] = telemetry_series_find(&telemetry->registry, machine_id, type);
        if (series[i] != NULL)
            continue;
        enum err err = telemetry_series_add(&telemetry->registry, &telemetry->options, 0,
                                            machine_id, type, &series[i]);
        if (err != ERR_OK)
            return err;
    }
    return ERR_OK;
}

enum err telemetry_batch_add(struct telemetry *telemetry, struct str machine_id,
                             const struct telemetry_reading *readings, uint32_t count,
                             const struct telemetry_message *message,
                             enum telemetry_refusal *ret_refusal)
{
    struct telemetry_series *series[TELEMETRY_READINGS_MAX];
    if (count > telemetry->options.pending_max - telemetry->pending)
        return ERR_FULL;
    enum err err = find_series(telemetry, machine_id, readings, count, series);
    if (err == ERR_FULL) {
        *ret_refusal = TELEMETRY_TOO_MANY;
        return ERR_INPUT;
    }
    if (err != ERR_OK)
        return err;
    if (telemetry->open == NULL)
        telemetry->open = batch_get(telemetry);
    if (telemetry->open == NULL)
        return ERR_NOMEM;
    err = reserve_rows(telemetry->open, count);
    if (err == ERR_OK)
        err = reserve_message(telemetry->open);
    if (err != ERR_OK)
        return err;
    append(telemetry->open, series, readings, count, message);
    if (telemetry->turn == NULL)
        return submit_alone(telemetry);
    if (telemetry->open->row_count >= BATCH_ROWS_MAX)
        close_full(telemetry);
    if (!telemetry->turn_set) {
        telemetry->turn_set = true;
        loop_timer_set(telemetry->turn, loop_now_ms(telemetry->options.loop));
    }
    return ERR_OK;
}
