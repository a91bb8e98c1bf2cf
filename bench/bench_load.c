/* Load from one thread over epoll: what a fleet of boards and a busy shop ask of the server.
 *
 *   bench_load MODE --port P --pid SERVER --conns N --seconds S --machines FILE [--admin TOKEN]
 * [--plain]
 *
 * MODE  check   GET check, nothing to do (204), keep-alive
 *       create  POST create, round robin over the machines
 *       cycle   each connection is one board and its guest: create, check, brewing, complete
 *       park    N long polls parked; then creates one by one: time until the parked answer is here
 * FILE  one machine a line: ID TOKEN
 *
 * Prints one JSON object: requests (or cycles), seconds, rate, server CPU us each, latency
 * percentiles in us, errors.
 * --plain leaves claims, keys and tokens out, for peers that know none. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MACHINES_MAX 20000
#define SAMPLES_MAX  4000000
#define RESPONSE_MAX 8192
#define RECIPE                                                                                     \
    "\"recipe\":{\"volume_ml\":40,\"temperature_c\":92,\"pre_infusion_ms\":300,"                   \
    "\"capsule_type\":\"original\",\"capsule_variant\":\"espresso\"}"

enum mode { MODE_CHECK, MODE_CREATE, MODE_CYCLE, MODE_PARK };

struct machine {
    char id[65], token[80];
};

struct conn {
    int fd;
    uint32_t index, step;
    uint64_t sent_us, command_id, number;
    char in[RESPONSE_MAX];
    size_t in_len;
    bool parked;
};

static struct options {
    enum mode mode;
    uint16_t port;
    int pid;
    uint32_t conns;
    double seconds;
    const char *admin;
    bool plain;
} options;

static struct machine *machines;
static uint32_t machine_count;
static uint32_t *samples;
static size_t sample_count;
static uint64_t done_count, error_count, reconnect_count;
static int epoll_fd;
static uint64_t create_number;

static uint64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void die(const char *what)
{
    fprintf(stderr, "bench_load: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* CPU time of the server so far, in us (all threads). */
static uint64_t server_cpu_us(void)
{
    char path[64], line[1024];
    snprintf(path, sizeof(path), "/proc/%d/stat", options.pid);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        die(path);
    if (fgets(line, sizeof(line), file) == NULL)
        die(path);
    fclose(file);
    unsigned long user = 0, system_ticks = 0;
    const char *at = strrchr(line, ')');
    if (at == NULL || sscanf(at + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
                             &system_ticks) != 2)
        die("stat");
    return (uint64_t)(user + system_ticks) * 1000000 / (uint64_t)sysconf(_SC_CLK_TCK);
}

static uint64_t server_rss_kib(void)
{
    char path[64], line[256];
    snprintf(path, sizeof(path), "/proc/%d/status", options.pid);
    FILE *file = fopen(path, "r");
    unsigned long kib = 0;
    while (file != NULL && fgets(line, sizeof(line), file) != NULL)
        if (sscanf(line, "VmRSS: %lu", &kib) == 1)
            break;
    if (file != NULL)
        fclose(file);
    return kib;
}

static void sample_add(uint64_t us)
{
    if (sample_count < SAMPLES_MAX)
        samples[sample_count++] = us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
}

static int by_value(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    return left < right ? -1 : left > right;
}

static uint32_t percentile(double share)
{
    return sample_count == 0 ? 0 : samples[(size_t)((double)(sample_count - 1) * share)];
}

/* ---- connections ---- */

static void conn_open(struct conn *conn)
{
    int one = 1;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(options.port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    /* More than 28,000 connections to one port need more than one source address. */
    struct sockaddr_in source = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + conn->index / 20000)};
    conn->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (conn->fd < 0 || bind(conn->fd, (struct sockaddr *)&source, sizeof(source)) != 0 ||
        connect(conn->fd, (struct sockaddr *)&address, sizeof(address)) != 0)
        die("connect");
    setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    fcntl(conn->fd, F_SETFL, O_NONBLOCK);
    struct epoll_event add = {.events = EPOLLIN, .data.ptr = conn};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, conn->fd, &add) != 0)
        die("epoll_ctl");
    conn->in_len = 0;
}

static void conn_reopen(struct conn *conn)
{
    close(conn->fd);
    reconnect_count++;
    conn_open(conn);
}

static void conn_send(struct conn *conn, const char *text, size_t len)
{
    conn->sent_us = now_us();
    ssize_t sent = send(conn->fd, text, len, MSG_NOSIGNAL);
    if (sent == (ssize_t)len)
        return;
    conn_reopen(conn);
    if (send(conn->fd, text, len, MSG_NOSIGNAL) != (ssize_t)len)
        die("send");
}

static void send_get(struct conn *conn, const char *path, const char *token)
{
    char text[1024];
    int len = snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n%s%s%s\r\n",
                       path, options.port, token != NULL ? "Authorization: Bearer " : "",
                       token != NULL ? token : "", token != NULL ? "\r\n" : "");
    conn_send(conn, text, (size_t)len);
}

static void send_post(struct conn *conn, const char *path, const char *token, const char *key,
                      const char *body)
{
    char text[2048];
    int len = snprintf(
        text, sizeof(text),
        "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nContent-Type: application/json\r\n%s%s%s%s%s%s"
        "Content-Length: %zu\r\n\r\n%s",
        path, options.port, token != NULL ? "Authorization: Bearer " : "",
        token != NULL ? token : "", token != NULL ? "\r\n" : "",
        key != NULL ? "Idempotency-Key: " : "", key != NULL ? key : "", key != NULL ? "\r\n" : "",
        strlen(body), body);
    conn_send(conn, text, (size_t)len);
}

static void send_create(struct conn *conn, const struct machine *machine)
{
    char body[512], key[64];
    snprintf(body, sizeof(body), "{\"machine_id\":\"%s\"," RECIPE ",\"execute_allowed\":true}",
             machine->id);
    snprintf(key, sizeof(key), "bench-%d-%llu", (int)getpid(), (unsigned long long)create_number++);
    send_post(conn, "/api/commands/create", options.plain ? NULL : options.admin,
              options.plain ? NULL : key, body);
}

static void send_update(struct conn *conn, const struct machine *machine, const char *status)
{
    char path[64], body[256];
    snprintf(path, sizeof(path), "/api/commands/update/%llu", (unsigned long long)conn->command_id);
    if (options.plain)
        snprintf(body, sizeof(body), "{\"status\":\"%s\",\"meta\":{\"actual_volume_ml\":41}}",
                 status);
    else
        snprintf(body, sizeof(body),
                 "{\"status\":\"%s\",\"claim_id\":\"%016llx%016llx\",\"journal_id\":\"%032x\","
                 "\"meta\":{\"actual_volume_ml\":41}}",
                 status, (unsigned long long)conn->number, (unsigned long long)conn->index + 1,
                 conn->index + 1);
    send_post(conn, path, options.plain ? NULL : machine->token, NULL, body);
}

static void send_next(struct conn *conn)
{
    const struct machine *machine = &machines[conn->index % machine_count];
    const char *token = options.plain ? NULL : machine->token;
    char path[256];
    switch (options.mode) {
    case MODE_CHECK:
        snprintf(path, sizeof(path), "/api/commands/check/%s", machine->id);
        send_get(conn, path, token);
        break;
    case MODE_CREATE:
        send_create(conn, &machines[create_number % machine_count]);
        break;
    case MODE_CYCLE:
        if (conn->step == 0)
            send_create(conn, machine);
        else if (conn->step == 1) {
            snprintf(path, sizeof(path), "/api/commands/check/%s", machine->id);
            send_get(conn, path, token);
        } else
            send_update(conn, machine, conn->step == 2 ? "brewing" : "complete");
        break;
    case MODE_PARK:
        snprintf(path, sizeof(path), "/api/commands/check/%s?wait=60", machine->id);
        send_get(conn, path, token);
        conn->parked = true;
        break;
    }
}

/* ---- answers ---- */

static uint64_t number_in(const char *text, const char *name)
{
    const char *at = strstr(text, name);
    if (at == NULL)
        return 0;
    at += strlen(name);
    while (*at == '"' || *at == ':' || *at == ' ')
        at++;
    return strtoull(at, NULL, 10);
}

/* One whole response in conn->in: true, with its status; `ret_close`: the peer ends the connection.
 */
static bool response_whole(struct conn *conn, int *ret_status, bool *ret_close, size_t *ret_len)
{
    conn->in[conn->in_len] = '\0';
    char *end = strstr(conn->in, "\r\n\r\n");
    if (end == NULL)
        return false;
    *ret_status = atoi(conn->in + 9); /* NOLINT: a bench's own peer */
    size_t body = 0;
    *end = '\0';
    const char *length = strcasestr(conn->in, "\r\ncontent-length:");
    if (length != NULL)
        body = strtoul(length + 17, NULL, 10);
    *ret_close = strcasestr(conn->in, "\r\nconnection: close") != NULL;
    *end = '\r';
    *ret_len = (size_t)(end - conn->in) + 4 + body;
    return conn->in_len >= *ret_len;
}

static void cycle_advance(struct conn *conn, int status, uint64_t began_us)
{
    static uint64_t cycle_began_us[MACHINES_MAX];
    uint32_t slot = conn->index % MACHINES_MAX;
    bool good = status == 200 || status == 201;
    if (!good) {
        error_count++;
        conn->step = 0;
        return;
    }
    if (conn->step == 0) {
        cycle_began_us[slot] = began_us;
        conn->number = create_number;
    }
    if (conn->step == 1)
        conn->command_id = number_in(conn->in, "\"command_id\"");
    if (++conn->step == 4) {
        conn->step = 0;
        done_count++;
        sample_add(now_us() - cycle_began_us[slot]);
    }
}

static void on_response(struct conn *conn, int status)
{
    if (options.mode == MODE_CYCLE) {
        cycle_advance(conn, status, conn->sent_us);
        return;
    }
    int wanted = options.mode == MODE_CHECK ? 204 : options.mode == MODE_CREATE ? 201 : 200;
    if (status == wanted || (options.plain && status == 200))
        done_count++;
    else
        error_count++;
    sample_add(now_us() - conn->sent_us);
}

/* False: nothing whole yet. */
static bool conn_read(struct conn *conn, int *ret_status)
{
    ssize_t got = read(conn->fd, conn->in + conn->in_len, sizeof(conn->in) - 1 - conn->in_len);
    if (got < 0 && errno == EAGAIN)
        return false;
    if (got <= 0) { /* closed between two requests: ask again */
        conn_reopen(conn);
        send_next(conn);
        return false;
    }
    conn->in_len += (size_t)got;
    bool closes;
    size_t len;
    if (!response_whole(conn, ret_status, &closes, &len))
        return false;
    conn->in_len = 0; /* one request at a time: nothing follows */
    if (closes)
        conn_reopen(conn);
    return true;
}

static void run_load(struct conn *conns)
{
    uint64_t end_us = now_us() + (uint64_t)(options.seconds * 1e6);
    for (uint32_t i = 0; i < options.conns; i++)
        send_next(&conns[i]);
    while (now_us() < end_us) {
        struct epoll_event ready[256];
        int count = epoll_wait(epoll_fd, ready, 256, 100);
        for (int i = 0; i < count; i++) {
            int status;
            struct conn *conn = ready[i].data.ptr;
            if (!conn_read(conn, &status))
                continue;
            on_response(conn, status);
            send_next(conn);
        }
    }
}

/* ---- parked ---- */

static void drain(uint64_t until_us)
{
    while (now_us() < until_us) {
        struct epoll_event ready[64];
        int count = epoll_wait(epoll_fd, ready, 64, 10);
        for (int i = 0; i < count; i++) {
            int status;
            if (conn_read(ready[i].data.ptr, &status))
                error_count++; /* a parked poll was answered, and nobody had ordered */
        }
    }
}

/* Order for one parked machine; time until its parked poll is answered. */
static void wake_one(struct conn *shop, struct conn *parked)
{
    uint64_t began_us = now_us();
    bool answered = false, created = false;
    send_create(shop, &machines[parked->index % machine_count]);
    while (!(answered && created) && now_us() - began_us < 5000000) {
        struct epoll_event ready[16];
        int count = epoll_wait(epoll_fd, ready, 16, 100);
        for (int i = 0; i < count; i++) {
            int status;
            struct conn *conn = ready[i].data.ptr;
            if (!conn_read(conn, &status))
                continue;
            if (conn == shop && status == 201)
                created = true;
            else if (conn == parked && status == 200) {
                answered = true;
                sample_add(now_us() - began_us);
                done_count++;
            } else
                error_count++;
        }
    }
    if (!answered)
        error_count++;
}

static void run_park(struct conn *conns)
{
    uint64_t before_kib = server_rss_kib();
    for (uint32_t i = 0; i < options.conns; i++)
        conn_open(&conns[i]);
    uint64_t open_kib = server_rss_kib();
    for (uint32_t i = 0; i < options.conns; i++)
        send_next(&conns[i]);
    drain(now_us() + 3000000);
    uint64_t parked_kib = server_rss_kib();
    struct conn *shop = calloc(1, sizeof(*shop));
    if (shop == NULL)
        die("memory");
    shop->index = options.conns;
    conn_open(shop);
    uint64_t cpu_us = server_cpu_us();
    for (uint32_t n = 0; n < 1000 && n < options.conns; n++)
        wake_one(shop, &conns[(size_t)n * 7919 % options.conns]);
    cpu_us = server_cpu_us() - cpu_us;
    qsort(samples, sample_count, sizeof(*samples), by_value);
    printf("{\"mode\":\"park\",\"parked\":%u,\"rss_before_kib\":%llu,\"rss_open_kib\":%llu,\"rss_"
           "parked_kib\":%llu,"
           "\"bytes_each\":%.0f,\"wakes\":%llu,\"wake_p50_us\":%u,\"wake_p99_us\":%u,\"errors\":%"
           "llu}\n",
           options.conns, (unsigned long long)before_kib, (unsigned long long)open_kib,
           (unsigned long long)parked_kib, (double)(parked_kib - before_kib) * 1024 / options.conns,
           (unsigned long long)done_count, percentile(0.5), percentile(0.99),
           (unsigned long long)error_count);
}

/* ---- start ---- */

static void machines_load(const char *path)
{
    FILE *file = fopen(path, "r");
    if (file == NULL)
        die(path);
    machines = calloc(MACHINES_MAX, sizeof(*machines));
    if (machines == NULL)
        die("memory");
    while (machine_count < MACHINES_MAX && fscanf(file, "%64s %79s", machines[machine_count].id,
                                                  machines[machine_count].token) == 2)
        machine_count++;
    fclose(file);
    if (machine_count == 0)
        die("no machines");
}

static void options_read(int argc, char **argv)
{
    static const char *const modes[] = {"check", "create", "cycle", "park"};
    if (argc < 2)
        die("usage: bench_load MODE --port P ...");
    for (int i = 0; i < 4; i++)
        if (strcmp(argv[1], modes[i]) == 0)
            options.mode = (enum mode)i;
    for (int i = 2; i < argc; i++) {
        const char *name = argv[i], *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(name, "--plain") == 0) {
            options.plain = true;
            continue;
        }
        i++;
        if (strcmp(name, "--port") == 0)
            options.port = (uint16_t)strtoul(value, NULL, 10);
        else if (strcmp(name, "--pid") == 0)
            options.pid = (int)strtol(value, NULL, 10);
        else if (strcmp(name, "--conns") == 0)
            options.conns = (uint32_t)strtoul(value, NULL, 10);
        else if (strcmp(name, "--seconds") == 0)
            options.seconds = strtod(value, NULL);
        else if (strcmp(name, "--machines") == 0)
            machines_load(value);
        else if (strcmp(name, "--admin") == 0)
            options.admin = value;
        else
            die(name);
    }
}

int main(int argc, char **argv)
{
    options_read(argc, argv);
    struct rlimit files = {60000, 60000};
    setrlimit(RLIMIT_NOFILE, &files);
    epoll_fd = epoll_create1(0);
    samples = malloc(SAMPLES_MAX * sizeof(*samples));
    struct conn *conns = calloc(options.conns, sizeof(*conns));
    if (samples == NULL || conns == NULL)
        die("memory");
    for (uint32_t i = 0; i < options.conns; i++)
        conns[i].index = i;
    if (options.mode == MODE_PARK) {
        run_park(conns);
        return 0;
    }
    for (uint32_t i = 0; i < options.conns; i++)
        conn_open(&conns[i]);
    uint64_t cpu_us = server_cpu_us(), began_us = now_us();
    run_load(conns);
    double seconds = (double)(now_us() - began_us) / 1e6;
    cpu_us = server_cpu_us() - cpu_us;
    qsort(samples, sample_count, sizeof(*samples), by_value);
    printf("{\"mode\":\"%s\",\"conns\":%u,\"done\":%llu,\"seconds\":%.3f,\"rate\":%.0f,\"cpu_us_"
           "each\":%.3f,"
           "\"per_cpu_second\":%.0f,\"p50_us\":%u,\"p99_us\":%u,\"errors\":%llu,\"reconnects\":%"
           "llu,\"rss_kib\":%llu}\n",
           argv[1], options.conns, (unsigned long long)done_count, seconds,
           (double)done_count / seconds, done_count > 0 ? (double)cpu_us / (double)done_count : 0,
           cpu_us > 0 ? (double)done_count * 1e6 / (double)cpu_us : 0, percentile(0.5),
           percentile(0.99), (unsigned long long)error_count, (unsigned long long)reconnect_count,
           (unsigned long long)server_rss_kib());
    return 0;
}
