/* The poll: most of what a server of machines does all day, so it allocates nothing and asks no
 * database when there is nothing to do.
 *
 *     asked --nothing--> 204
 *           --wait----> parked --queue wakes--> looks again: 200, or parked as before
 *                              --time is over-> 204
 *                              --stop---------> 204
 *                              --left---------> forgotten
 */
#include "web/routes_int.h"

#include <string.h>

/* One waiting request; 15,000 of them are nothing special. */
struct web_parked {
    struct queue_wait wait;
    struct web_parked *prev, *next; /* in its bucket, or in the list of the woken */
    struct web *web;
    struct http_request *req;
    int64_t due_ms;
    struct id128 journal_id;
    uint16_t seconds;
    bool woken;
    char request_id[WEB_REQUEST_ID_BYTES];
    char machine_id[]; /* with NUL */
};
_Static_assert(sizeof(struct web_parked) < 200, "a parked poll must stay small");

static void answer_empty(struct web *web, struct http_request *req, const char *request_id)
{
    struct http_field fields[] = {{STR("X-Request-Id"), str_from(request_id)},
                                  {STR("Cache-Control"), STR("no-store")}};
    web->metrics.polls_empty++;
    web->metrics.by_class[2]++;
    http_respond(req, &(struct http_answer){
                          .status = 204, .fields = fields, .field_count = ARRAY_COUNT(fields)});
}

static void answer_offer(struct web *web, struct http_request *req, const char *request_id,
                         const struct queue_command *command, bool own, int64_t begun_us)
{
    struct buf body;
    buf_init(&body, 256 * KIB);
    struct json_out out = {&body, ERR_OK};
    show_offer(&out, command, own);
    struct http_field fields[WEB_FIELDS_MAX];
    size_t count = web_fields_common(web, request_id, STR_NONE, false, fields);
    uint16_t status = out.err == ERR_OK ? 200 : 503;
    web->metrics.polls_full++;
    web_log_request(web, request_id, "/api/commands/check/{machine}", status, begun_us, true, "-");
    http_respond(req, &(struct http_answer){.status = status,
                                            .content_type = STR("application/json"),
                                            .fields = fields,
                                            .field_count = count,
                                            .body = status == 200 ? buf_str(&body) : STR_NONE});
    buf_finish(&body);
}

/* ---- parked ---- */

static void bucket_add(struct web_parking *parking, struct web_parked *parked)
{
    struct web_parked *last = parking->bucket_last[parked->seconds];
    parked->prev = last;
    parked->next = NULL;
    if (last != NULL)
        last->next = parked;
    else
        parking->bucket[parked->seconds] = parked;
    parking->bucket_last[parked->seconds] = parked;
}

static void bucket_remove(struct web_parking *parking, struct web_parked *parked)
{
    if (parked->prev != NULL)
        parked->prev->next = parked->next;
    else
        parking->bucket[parked->seconds] = parked->next;
    if (parked->next != NULL)
        parked->next->prev = parked->prev;
    else
        parking->bucket_last[parked->seconds] = parked->prev;
}

static void woken_add(struct web_parking *parking, struct web_parked *parked)
{
    parked->woken = true;
    parked->prev = NULL;
    parked->next = parking->woken;
    if (parking->woken != NULL)
        parking->woken->prev = parked;
    parking->woken = parked;
}

static void woken_remove(struct web_parking *parking, struct web_parked *parked)
{
    if (parked->prev != NULL)
        parked->prev->next = parked->next;
    else
        parking->woken = parked->next;
    if (parked->next != NULL)
        parked->next->prev = parked->prev;
    parked->woken = false;
}

static void parked_drop(struct web_parked *parked)
{
    struct web *web = parked->web;
    queue_wait_remove(&parked->wait);
    if (parked->woken)
        woken_remove(&web->parking, parked);
    else
        bucket_remove(&web->parking, parked);
    fleet_presence_unpark(web->fleet, str_from(parked->machine_id), web_now_ms(web),
                          web_mono_ms(web));
    web->parking.count--;
    mem_free(parked);
}

static void parked_gone(void *cookie)
{
    parked_drop(cookie);
}

static void parked_answer_empty(struct web_parked *parked)
{
    struct http_request *req = parked->req;
    char request_id[WEB_REQUEST_ID_BYTES];
    memcpy(request_id, parked->request_id, sizeof(parked->request_id));
    struct web *web = parked->web;
    parked_drop(parked);
    answer_empty(web, req, request_id);
}

/* The queue is in the middle of its own work here: look at the end of this turn, when everybody
 * who was woken may look in turn. */
static void parked_wake(struct queue_wait *wait)
{
    struct web_parked *parked =
        (struct web_parked *)(void *)((char *)wait - offsetof(struct web_parked, wait));
    struct web *web = parked->web;
    if (parked->woken)
        return;
    bucket_remove(&web->parking, parked);
    woken_add(&web->parking, parked);
    loop_timer_set(web->parking.soon, web_mono_ms(web));
}

static void parked_look(struct web_parked *parked)
{
    struct web *web = parked->web;
    struct str machine_id = str_from(parked->machine_id);
    bool own = false;
    const struct queue_command *command =
        queue_check(web->queue, machine_id, parked->journal_id, &own);
    if (command != NULL) {
        struct http_request *req = parked->req;
        answer_offer(web, req, parked->request_id, command, own, sys_mono_us());
        parked_drop(parked);
        return;
    }
    if (queue_wait_add(web->queue, machine_id, &parked->wait) != ERR_OK) {
        parked_answer_empty(parked);
        return;
    }
    woken_remove(&web->parking, parked);
    /* Its time goes on; the bucket of what is left keeps every bucket in order of time. */
    int64_t left_ms = parked->due_ms - web_mono_ms(web);
    parked->seconds = (uint16_t)(left_ms <= 0 ? 0 : left_ms / 1000);
    parked->due_ms = web_mono_ms(web) + (int64_t)parked->seconds * 1000;
    bucket_add(&web->parking, parked);
}

static void timer_adjust(struct web *web)
{
    int64_t due_ms = INT64_MAX;
    for (size_t i = 0; i <= WEB_WAIT_S_MAX; i++) {
        const struct web_parked *first = web->parking.bucket[i];
        if (first != NULL && first->due_ms < due_ms)
            due_ms = first->due_ms;
    }
    if (due_ms == INT64_MAX)
        loop_timer_clear(web->parking.deadline);
    else
        loop_timer_set(web->parking.deadline, due_ms);
}

static void soon_fire(void *cookie)
{
    struct web *web = cookie;
    while (web->parking.woken != NULL)
        parked_look(web->parking.woken);
    timer_adjust(web);
}

static void deadline_fire(void *cookie)
{
    struct web *web = cookie;
    for (size_t i = 0; i <= WEB_WAIT_S_MAX; i++) {
        while (web->parking.bucket[i] != NULL && web->parking.bucket[i]->due_ms <= web_mono_ms(web))
            parked_answer_empty(web->parking.bucket[i]);
    }
    timer_adjust(web);
}

enum err web_parking_init(struct web *web)
{
    enum err err = loop_timer_create(web->loop, deadline_fire, web, &web->parking.deadline);
    if (err != ERR_OK)
        return err;
    return loop_timer_create(web->loop, soon_fire, web, &web->parking.soon);
}

void web_parking_answer_all(struct web *web)
{
    while (web->parking.woken != NULL)
        parked_answer_empty(web->parking.woken);
    for (size_t i = 0; i <= WEB_WAIT_S_MAX; i++) {
        while (web->parking.bucket[i] != NULL)
            parked_answer_empty(web->parking.bucket[i]);
    }
}

void web_parking_answer_machine(struct web *web, struct str machine_id)
{
    for (size_t i = 0; i <= WEB_WAIT_S_MAX; i++) {
        struct web_parked *parked = web->parking.bucket[i];
        while (parked != NULL) {
            struct web_parked *next = parked->next;
            if (str_equal(str_from(parked->machine_id), machine_id))
                parked_answer_empty(parked);
            parked = next;
        }
    }
}

void web_parking_finish(struct web *web)
{
    loop_timer_destroy(web->parking.deadline);
    loop_timer_destroy(web->parking.soon);
}

static const struct web_problem crowded = {.status = 503,
                                           .code = "overloaded",
                                           .detail = "Too many polls wait; ask without wait.",
                                           .retry_after_s = 5};

static void park(struct web *web, struct http_request *req, const struct web_front *front,
                 struct id128 journal_id, uint16_t seconds)
{
    struct str machine_id = front->match.machine_id;
    struct web_parked *parked = NULL;
    uint32_t parked_max = web->options.parked_max != 0 ? web->options.parked_max : 20000;
    if (web->stopping) {
        answer_empty(web, req, front->request_id);
        return;
    }
    if (web->parking.count < parked_max)
        parked = mem_zalloc(sizeof(*parked) + machine_id.len + 1);
    if (parked == NULL) {
        web_problem_now(web, req, front, &crowded);
        return;
    }
    parked->wait.wake = parked_wake;
    parked->web = web;
    parked->req = req;
    parked->journal_id = journal_id;
    parked->seconds = seconds;
    parked->due_ms = web_mono_ms(web) + (int64_t)seconds * 1000;
    memcpy(parked->request_id, front->request_id, sizeof(parked->request_id));
    memcpy(parked->machine_id, machine_id.at, machine_id.len);
    if (queue_wait_add(web->queue, machine_id, &parked->wait) != ERR_OK) {
        mem_free(parked);
        web_problem_now(web, req, front, &crowded);
        return;
    }
    bucket_add(&web->parking, parked);
    web->parking.count++;
    fleet_presence_park(web->fleet, str_from(parked->machine_id), web_now_ms(web),
                        web_mono_ms(web));
    http_park(req, parked_gone, parked);
    if (web->parking.bucket[seconds] == parked)
        timer_adjust(web);
}

/* ---- asking ---- */

static bool wait_read(struct str query, uint16_t *ret_seconds)
{
    struct str text;
    uint64_t seconds = 0;
    if (http_query_find(query, STR("wait"), &text) == ERR_OK &&
        (str_to_u64(text, &seconds) != ERR_OK || seconds < 1 || seconds > WEB_WAIT_S_MAX))
        return false;
    *ret_seconds = (uint16_t)seconds;
    return true;
}

static const struct web_problem bad_wait = {.status = 400,
                                            .code = "bad_value",
                                            .detail = "wait is a number of seconds from 1 to 60.",
                                            .field = "wait"};
static const struct web_problem bad_journal = {
    .status = 400, .code = "bad_request", .detail = "X-Journal-Id must be 32 hexadecimal digits."};
static const struct web_problem foreign = {
    .status = 403, .code = "foreign_machine", .detail = "This token belongs to another machine."};

static void registered(void *cookie, enum err err, const struct fleet_machine *machine)
{
    (void)cookie; /* nobody waits for it: the poll is answered as for a machine without commands */
    if (err != ERR_OK && machine == NULL)
        log_line(LOG_WARN, "register", "err", "%s", err_name(err), NULL);
}

/* --open: a machine is known from its first mention on. */
static void open_register(struct web *web, const struct web_front *front)
{
    struct fleet_by by = {STR("open"), str_from(front->request_id), web_now_ms(web)};
    enum err err = fleet_machine_ensure(web->fleet, by, front->match.machine_id, STR("espresso"),
                                        registered, NULL);
    if (err != ERR_OK)
        registered(NULL, err, NULL);
}

void web_check(struct web *web, struct http_request *req, struct web_front *front)
{
    struct str machine_id = front->match.machine_id;
    if (!front->caller.open && !str_equal(str_from(front->caller.machine_id), machine_id)) {
        web_problem_now(web, req, front, &foreign);
        return;
    }
    uint16_t seconds = 0;
    struct id128 journal_id = {{0}};
    struct str query = http_request_head(req)->query;
    struct str journal = http_header(req, STR("X-Journal-Id"));
    if (query.len > 0 && !wait_read(query, &seconds)) {
        web_problem_now(web, req, front, &bad_wait);
        return;
    }
    if (journal.at != NULL && id128_parse(journal, &journal_id) != ERR_OK) {
        web_problem_now(web, req, front, &bad_journal);
        return;
    }
    if (front->caller.open && fleet_find(web->fleet, machine_id) == NULL)
        open_register(web, front);
    fleet_presence_seen(web->fleet, machine_id, web_now_ms(web), web_mono_ms(web));
    bool own = false;
    const struct queue_command *command = queue_check(web->queue, machine_id, journal_id, &own);
    if (command != NULL)
        answer_offer(web, req, front->request_id, command, own, front->begun_us);
    else if (seconds == 0)
        answer_empty(web, req, front->request_id);
    else
        park(web, req, front, journal_id, seconds);
}
