/* A twin over real sockets, against a small server on the same loop that keeps the queue's rules
 * (tests/device/fake.h). */
#include "device/fake.h"
#include "twin/twin.h"

#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

/* ---- the server: HTTP/1.1, one request after the other on each connection ---- */

#define CLIENTS_MAX 8

struct client {
    uv_tcp_t tcp;
    uv_write_t write;
    bool used;
    char in[16 * 1024], out[4 * 1024];
    size_t in_len;
};

static struct fake fake;
static struct loop *loop;
static uv_tcp_t listener;
static struct client clients[CLIENTS_MAX];
static char server_url[64];
static char seen_authorization[256];
static const char *dir;

static void client_closed(uv_handle_t *handle)
{
    ((struct client *)handle->data)->used = false;
}

static const char *header(const char *in, const char *name)
{
    const char *at = strcasestr(in, name);
    return at != NULL ? at + strlen(name) : NULL;
}

static void read_request(struct client *client, size_t head_len, size_t body_len,
                         struct fake_exchange *exchange)
{
    char method[8];
    char path[WIRE_PATH_BYTES];
    memset(exchange, 0, sizeof(*exchange));
    client->in[head_len - 1] = '\0';
    CHECK_EQ(sscanf(client->in, "%7s %159s HTTP/1.1", method, path), 2);
    exchange->method = strcmp(method, "GET") == 0 ? DEVICE_GET : DEVICE_POST;
    memcpy(exchange->path, path, sizeof(path));
    const char *journal = header(client->in, "\r\nX-Journal-Id: ");
    if (journal != NULL)
        CHECK_OK(id128_parse((struct str){journal, 32}, &exchange->journal_id));
    const char *authorization = header(client->in, "\r\nAuthorization: ");
    CHECK(authorization != NULL);
    CHECK_EQ(sscanf(authorization, "%255[^\r]", seen_authorization), 1);
    CHECK(body_len < FAKE_BODY_BYTES);
    memcpy(exchange->body, client->in + head_len, body_len);
    exchange->body_len = body_len;
}

static void answer(struct client *client)
{
    static struct fake_exchange exchange;
    char *end = memmem(client->in, client->in_len, "\r\n\r\n", 4);
    if (end == NULL)
        return;
    size_t head_len = (size_t)(end - client->in) + 4;
    unsigned long body_len = 0;
    const char *length = header(client->in, "\r\nContent-Length: ");
    if (length != NULL && length < end)
        CHECK_EQ(sscanf(length, "%lu", &body_len), 1);
    if (client->in_len < head_len + body_len)
        return;
    read_request(client, head_len, body_len, &exchange);
    fake.now_ms = sys_mono_ms();
    fake_handle(&fake, &exchange);
    int len = snprintf(client->out, sizeof(client->out),
                       "HTTP/1.1 %u Status\r\nContent-Length: %zu\r\n\r\n%s", exchange.status,
                       strlen(exchange.answer), exchange.answer);
    CHECK(len > 0 && (size_t)len < sizeof(client->out));
    client->in_len -= head_len + body_len;
    CHECK_EQ(client->in_len, 0); /* nobody pipelines here */
    memset(client->in, 0, sizeof(client->in));
    uv_buf_t buf = uv_buf_init(client->out, (unsigned)len);
    CHECK_EQ(uv_write(&client->write, (uv_stream_t *)&client->tcp, &buf, 1, NULL), 0);
}

static void room(uv_handle_t *handle, size_t wanted, uv_buf_t *buf)
{
    struct client *client = handle->data;
    (void)wanted;
    *buf = uv_buf_init(client->in + client->in_len,
                       (unsigned)(sizeof(client->in) - 1 - client->in_len));
}

static void bytes(uv_stream_t *stream, ssize_t count, const uv_buf_t *buf)
{
    struct client *client = stream->data;
    (void)buf;
    if (count < 0) {
        uv_close((uv_handle_t *)stream, client_closed);
        return;
    }
    client->in_len += (size_t)count;
    answer(client);
}

static void connected(uv_stream_t *stream, int status)
{
    CHECK_EQ(status, 0);
    for (unsigned i = 0; i < CLIENTS_MAX; i++) {
        struct client *client = &clients[i];
        if (client->used)
            continue;
        memset(client, 0, sizeof(*client));
        client->used = true;
        CHECK_EQ(uv_tcp_init(loop_uv(loop), &client->tcp), 0);
        client->tcp.data = client;
        CHECK_EQ(uv_accept(stream, (uv_stream_t *)&client->tcp), 0);
        CHECK_EQ(uv_read_start((uv_stream_t *)&client->tcp, room, bytes), 0);
        return;
    }
    CHECK(false);
}

static void server_start(void)
{
    struct sockaddr_in address;
    int len = sizeof(address);
    fake_init(&fake, 1);
    memset(clients, 0, sizeof(clients)); /* those of the loop before went with it */
    fake.metal_elsewhere = true;
    fake.max_duration_s = 180;
    fake.start_within_ms = 600000;
    fake.command_name = "brew";
    fake.payload = "{\"volume_ml\":40,\"temperature_c\":92,\"pre_infusion_ms\":300,"
                   "\"capsule_type\":\"original\",\"capsule_variant\":\"espresso\"}";
    dir = kit_tempdir();
    CHECK_OK(loop_create(&loop));
    CHECK_EQ(uv_tcp_init(loop_uv(loop), &listener), 0);
    CHECK_EQ(uv_ip4_addr("127.0.0.1", 0, &address), 0);
    CHECK_EQ(uv_tcp_bind(&listener, (const struct sockaddr *)&address, 0), 0);
    CHECK_EQ(uv_listen((uv_stream_t *)&listener, 8, connected), 0);
    CHECK_EQ(uv_tcp_getsockname(&listener, (struct sockaddr *)&address, &len), 0);
    (void)snprintf(server_url, sizeof(server_url), "http://127.0.0.1:%u", ntohs(address.sin_port));
}

/* ---- helpers ---- */

static struct twin_options preset(void)
{
    return (struct twin_options){
        .id = "m1",
        .server_url = server_url,
        .token = "secret",
        .speed = 100,
        .poll_s = 1,
        .seed = 7,
        .journal_file = kit_path(dir, "journal"),
        .actuations_file = kit_path(dir, "actuations"),
    };
}

static struct twin *start(const struct twin_options *options)
{
    struct twin *twin;
    char why[128];
    CHECK_OK(twin_create(loop, options, why, sizeof(why), &twin));
    return twin;
}

static void run_until_settled(struct fake_command *command)
{
    while (command->state == FAKE_PENDING || command->state == FAKE_RUNNING)
        CHECK(loop_turn_wait(loop));
}

static void finish(struct twin *twin)
{
    twin_destroy(twin);
    loop_destroy(loop);
}

/* Lines with this word in the record of what the metal did. */
static unsigned recorded(const char *what)
{
    size_t len;
    unsigned count = 0;
    if (!path_exists(kit_path(dir, "actuations")))
        return 0;
    const char *at = kit_read_file(kit_path(dir, "actuations"), &len);
    while ((at = strstr(at, what)) != NULL) {
        count++;
        at++;
    }
    return count;
}

/* ---- tests ---- */

TEST(a_brew_from_order_to_report)
{
    server_start();
    struct fake_command *command = fake_order(&fake);
    struct twin_options options = preset();
    options.speed = 20; /* a host that is held up for a moment is held up for less of the brew */
    struct twin *twin = start(&options);
    run_until_settled(command);
    CHECK_EQ(command->state, FAKE_COMPLETE);
    CHECK(command->volume_milli > 36000 && command->volume_milli < 52000);
    CHECK_EQ(recorded("\"motion\""), 1);
    CHECK_EQ(recorded("\"pump\""), 1);
    CHECK(fake.samples > 100);
    CHECK_STR(seen_authorization, "Bearer secret");
    CHECK_EQ(twin_status_get(twin).starts, 1);
    finish(twin);
}

TEST(several_brews_on_one_machine)
{
    server_start();
    for (int i = 0; i < 4; i++)
        (void)fake_order(&fake);
    struct twin_options options = preset();
    options.journal_file = NULL; /* in memory is enough here */
    struct twin *twin = start(&options);
    run_until_settled(&fake.command[3]);
    for (int i = 0; i < 4; i++)
        CHECK_EQ(fake.command[i].state, FAKE_COMPLETE);
    CHECK_EQ(recorded("\"pump\""), 4);
    finish(twin);
}

TEST(power_goes_in_every_step_of_a_brew)
{
    static const char *const steps[] = {"validating", "pre_flight",   "homing",          "picking",
                                        "inserting",  "closing_head", "pressing_button", "brewing",
                                        "monitoring", "ejecting"};
    for (size_t i = 0; i < ARRAY_COUNT(steps); i++) {
        char fault[64];
        NOTE("step %s", steps[i]);
        server_start();
        (void)snprintf(fault, sizeof(fault), "reboot_at=%s:once", steps[i]);
        struct fake_command *command = fake_order(&fake);
        struct twin_options options = preset();
        options.faults[0] = fault;
        options.fault_count = 1;
        struct twin *twin = start(&options);
        run_until_settled(command);
        CHECK_EQ(command->state, FAKE_FAILED);
        CHECK_STR(command->reason, "interrupted");
        CHECK(command->volume_milli >= 0);
        CHECK(recorded("\"motion\"") <= 1);
        CHECK(recorded("\"pump\"") <= 1);
        CHECK_EQ(twin_status_get(twin).boots, 2);
        finish(twin);
    }
}

/* SIGKILL takes memory and nothing else: destroying the twin does the same to its board. */
TEST(a_killed_twin_remembers_from_its_file)
{
    server_start();
    struct fake_command *command = fake_order(&fake);
    struct twin_options options = preset();
    struct twin *twin = start(&options);
    while (twin_status_get(twin).pump_starts == 0)
        CHECK(loop_turn_wait(loop));
    twin_destroy(twin);
    twin = start(&options);
    run_until_settled(command);
    CHECK_EQ(command->state, FAKE_FAILED);
    CHECK_STR(command->reason, "interrupted");
    CHECK_EQ(recorded("\"pump\""), 1);
    finish(twin);
}

TEST(a_wiped_journal_leaves_it_unknown)
{
    server_start();
    struct fake_command *command = fake_order(&fake);
    struct twin_options options = preset();
    options.faults[0] = "reboot_at=brewing:once";
    options.faults[1] = "journal_lost";
    options.fault_count = 2;
    struct twin *twin = start(&options);
    run_until_settled(command);
    CHECK_EQ(command->state, FAKE_UNKNOWN);
    CHECK_EQ(recorded("\"pump\"") <= 1, 1);
    finish(twin);
}

TEST(a_bad_link_changes_nothing)
{
    server_start();
    struct fake_command *command = fake_order(&fake);
    struct twin_options options = preset();
    options.faults[0] = "link_loss:once";
    options.fault_count = 1;
    struct twin *twin = start(&options);
    run_until_settled(command);
    CHECK(command->state == FAKE_COMPLETE ||
          (command->state == FAKE_FAILED && strcmp(command->reason, "not_started") == 0));
    CHECK_EQ(recorded("\"pump\""), command->state == FAKE_COMPLETE);
    CHECK(twin_status_get(twin).link_errors > 0);
    finish(twin);
}

TEST(faults_of_the_machine_have_their_names)
{
    static const struct {
        const char *fault, *reason;
        enum fake_state state;
    } cases[] = {
        {"jam_pick:once", "pick_failed", FAKE_FAILED},
        {"button_dead:once", "button_failed", FAKE_FAILED},
        {"water_low", "water_low", FAKE_REJECTED},
        {"magazine_empty", "magazine_empty", FAKE_REJECTED},
        {"estop", "estop", FAKE_REJECTED},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        NOTE("fault %s", cases[i].fault);
        server_start();
        struct fake_command *command = fake_order(&fake);
        struct twin_options options = preset();
        options.faults[0] = cases[i].fault;
        options.fault_count = 1;
        struct twin *twin = start(&options);
        run_until_settled(command);
        CHECK_EQ(command->state, cases[i].state);
        CHECK_STR(command->reason, cases[i].reason);
        CHECK_EQ(recorded("\"pump\""), 0);
        finish(twin);
    }
}

TEST(a_stop_presses_the_button_again)
{
    server_start();
    struct fake_command *command = fake_order(&fake);
    struct twin_options options = preset();
    options.speed = 20;
    struct twin *twin = start(&options);
    while (twin_status_get(twin).pump_starts == 0)
        CHECK(loop_turn_wait(loop));
    command->stop = true;
    run_until_settled(command);
    /* The brew may have been over before the stop came through. */
    CHECK(command->state == FAKE_CANCELLED || command->state == FAKE_COMPLETE);
    finish(twin);
}

TEST(a_token_of_its_own_outlives_the_process)
{
    char first[256];
    struct stat status;
    server_start();
    fake.waiting = true;
    struct twin_options options = preset();
    options.token = "auto";
    struct twin *twin = start(&options);
    while (fake.hellos == 0)
        CHECK(loop_turn_wait(loop));
    memcpy(first, seen_authorization, sizeof(first));
    CHECK_EQ(strlen(first), strlen("Bearer ") + 64);
    CHECK_EQ(stat(kit_path(dir, "journal.token"), &status), 0);
    CHECK_EQ(status.st_mode & 0777, 0600);
    twin_destroy(twin);
    fake.waiting = false;
    struct fake_command *command = fake_order(&fake);
    twin = start(&options);
    run_until_settled(command);
    CHECK_STR(seen_authorization, first);
    finish(twin);
}

TEST(two_twins_cannot_share_a_journal)
{
    char why[128];
    struct twin *second;
    server_start();
    struct twin_options options = preset();
    struct twin *twin = start(&options);
    CHECK_ERR(twin_create(loop, &options, why, sizeof(why), &second), ERR_CONFLICT);
    CHECK_STR(why, "journal: another process is this board");
    finish(twin);
}

TEST(somebody_elses_file_is_not_overwritten)
{
    char why[128];
    struct twin *twin;
    server_start();
    struct twin_options options = preset();
    CHECK_OK(file_write_atomic(options.journal_file, "my notes", 8, 0600));
    CHECK_ERR(twin_create(loop, &options, why, sizeof(why), &twin), ERR_INPUT);
    size_t len;
    CHECK_STR(kit_read_file(options.journal_file, &len), "my notes");
    loop_destroy(loop);
}

TEST(unusable_options_are_named)
{
    char why[128];
    struct twin *twin;
    server_start();
    struct twin_options options = preset();
    options.id = "a/b";
    CHECK_ERR(twin_create(loop, &options, why, sizeof(why), &twin), ERR_INPUT);
    options = preset();
    options.kind = "toaster";
    CHECK_ERR(twin_create(loop, &options, why, sizeof(why), &twin), ERR_INPUT);
    CHECK(strstr(why, "toaster") != NULL);
    options = preset();
    options.server_url = "ftp://x";
    CHECK_ERR(twin_create(loop, &options, why, sizeof(why), &twin), ERR_INPUT);
    options = preset();
    options.faults[0] = "gremlins";
    options.fault_count = 1;
    CHECK_ERR(twin_create(loop, &options, why, sizeof(why), &twin), ERR_INPUT);
    CHECK(strstr(why, "gremlins") != NULL);
    options.faults[0] = "reboot_at=nowhere";
    CHECK_ERR(twin_create(loop, &options, why, sizeof(why), &twin), ERR_INPUT);
    options = preset();
    options.token = "a\r\nX-Evil: 1";
    CHECK_ERR(twin_create(loop, &options, why, sizeof(why), &twin), ERR_INPUT);
    loop_destroy(loop);
}

/* A server that is not there is a link error and nothing else. */
TEST(no_server_is_only_a_link_error)
{
    server_start();
    struct twin_options options = preset();
    options.server_url = "https://127.0.0.1:1";
    struct twin *twin = start(&options);
    while (twin_status_get(twin).link_errors < 2)
        CHECK(loop_turn_wait(loop));
    CHECK_STR(twin_status_get(twin).phase, "hello");
    finish(twin);
}
