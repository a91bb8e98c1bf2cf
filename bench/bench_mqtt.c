/* Load over MQTT 3.1.1 from one thread over epoll: what many sensors ask of a broker.
 *
 *   bench_mqtt ingest --port P --pid SERVER --qos 0|1 --conns N --count N --topic T [--user U
 * --password W] bench_mqtt idle   --port P --pid SERVER --conns N [--user U --password W]
 *   bench_mqtt loop   --port P --conns N [--user U --password W]
 *
 * ingest  N publishes in all, 100 bytes of payload unless the topic is a sensor's (then a number);
 *         QoS 1 with 100 in flight a connection.  A "%" in the topic becomes the connection's
 * number. `pid`: its CPU time is read before and after.  Ends when the server has answered the last
 *         one (a PINGREQ behind it at QoS 0).
 * idle    memory of N connected clients.
 * loop    each client publishes temperature, humidity and sound of its own device and waits for its
 *         window/ID/control: microseconds from the last of the three to the control.
 *
 * Prints one JSON object. */
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

#define IN_FLIGHT   100u
#define BATCH_BYTES (64u * 1024)
#define IN_BYTES    8192

struct conn {
    int fd;
    uint32_t index;
    uint8_t *batch; /* packets, encoded once and sent again and again */
    uint32_t batch_len, batch_count, batch_at;
    uint64_t left;    /* publishes still to be sent */
    uint32_t unacked; /* QoS 1 */
    bool pinged, done;
    uint64_t sent_us;
    uint8_t in[IN_BYTES];
    size_t in_len;
};

static struct options {
    const char *mode, *topic, *user, *password;
    uint16_t port;
    int pid, qos;
    uint32_t conns, topics;
    uint64_t count;
} options = {.topic = "volatile/bench/%", .conns = 4, .count = 400000};

static struct conn *conns;
static uint32_t *samples;
static uint32_t sample_count;

static uint64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void die(const char *what)
{
    fprintf(stderr, "bench_mqtt: %s: %s\n", what, errno != 0 ? strerror(errno) : "no more");
    exit(1);
}

/* CPU time of all threads of the server, in microseconds: the scheduler's own count. */
static uint64_t server_cpu_us(void)
{
    char command[128];
    unsigned long long total = 0, one;
    if (options.pid <= 0)
        return 0;
    snprintf(command, sizeof(command), "cat /proc/%d/task/*/schedstat 2>/dev/null", options.pid);
    FILE *pipe = popen(command, "r");
    if (pipe == NULL)
        die("schedstat");
    while (fscanf(pipe, "%llu %*u %*u", &one) == 1)
        total += one;
    pclose(pipe);
    return total / 1000;
}

static long server_rss_kib(void)
{
    char path[64], line[256];
    long kib = 0;
    snprintf(path, sizeof(path), "/proc/%d/status", options.pid);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        die(path);
    while (fgets(line, sizeof(line), file) != NULL) {
        if (sscanf(line, "VmRSS: %ld", &kib) == 1)
            break;
    }
    fclose(file);
    return kib;
}

/* ---- packets ---- */

static size_t put_text(uint8_t *at, const char *text)
{
    size_t len = strlen(text);
    at[0] = (uint8_t)(len >> 8);
    at[1] = (uint8_t)len;
    memcpy(at + 2, text, len);
    return len + 2;
}

static size_t put_head(uint8_t *at, uint8_t first, size_t rest)
{
    size_t used = 0;
    at[used++] = first;
    do {
        uint8_t digit = (uint8_t)(rest % 128);
        rest /= 128;
        at[used++] = rest > 0 ? (uint8_t)(digit | 128) : digit;
    } while (rest > 0);
    return used;
}

static size_t put_connect(uint8_t *at, const char *client_id)
{
    uint8_t body[512];
    size_t len = put_text(body, "MQTT");
    uint8_t flags = 2;
    if (options.user != NULL)
        flags |= 0x80;
    if (options.password != NULL)
        flags |= 0x40;
    body[len++] = 4;
    body[len++] = flags;
    body[len++] = 0;
    body[len++] = 0; /* no keep-alive */
    len += put_text(body + len, client_id);
    if (options.user != NULL)
        len += put_text(body + len, options.user);
    if (options.password != NULL)
        len += put_text(body + len, options.password);
    size_t head = put_head(at, 0x10, len);
    memcpy(at + head, body, len);
    return head + len;
}

static size_t put_publish(uint8_t *at, const char *topic, const char *payload, int qos,
                          uint16_t packet_id)
{
    uint8_t body[1024];
    size_t len = put_text(body, topic);
    if (qos > 0) {
        body[len++] = (uint8_t)(packet_id >> 8);
        body[len++] = (uint8_t)packet_id;
    }
    memcpy(body + len, payload, strlen(payload));
    len += strlen(payload);
    size_t head = put_head(at, (uint8_t)(0x30 | qos << 1), len);
    memcpy(at + head, body, len);
    return head + len;
}

static size_t put_subscribe(uint8_t *at, const char *filter)
{
    uint8_t body[256] = {0, 1};
    size_t len = 2 + put_text(body + 2, filter);
    body[len++] = 1;
    size_t head = put_head(at, 0x82, len);
    memcpy(at + head, body, len);
    return head + len;
}

/* ---- connections ---- */

static void send_all(int fd, const uint8_t *bytes, size_t len)
{
    while (len > 0) {
        ssize_t sent = send(fd, bytes, len, MSG_NOSIGNAL);
        if (sent < 0)
            die("send");
        bytes += sent;
        len -= (size_t)sent;
    }
}

static void read_exactly(int fd, uint8_t *bytes, size_t len)
{
    while (len > 0) {
        ssize_t got = recv(fd, bytes, len, 0);
        if (got <= 0)
            die("recv");
        bytes += got;
        len -= (size_t)got;
    }
}

static void open_conn(struct conn *conn, uint32_t index)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(options.port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    uint8_t packet[1024], answer[4];
    char client_id[32];
    int one = 1;
    *conn = (struct conn){.fd = socket(AF_INET, SOCK_STREAM, 0), .index = index};
    if (conn->fd < 0 || connect(conn->fd, (struct sockaddr *)&address, sizeof(address)) != 0)
        die("connect");
    (void)setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    snprintf(client_id, sizeof(client_id), "bench-%u", index);
    send_all(conn->fd, packet, put_connect(packet, client_id));
    read_exactly(conn->fd, answer, 4);
    if (answer[0] != 0x20 || answer[3] != 0) {
        fprintf(stderr, "bench_mqtt: refused with %u\n", answer[3]);
        exit(1);
    }
}

static void open_all(void)
{
    struct rlimit files = {options.conns + 64, options.conns + 64};
    (void)setrlimit(RLIMIT_NOFILE, &files);
    conns = calloc(options.conns, sizeof(*conns));
    if (conns == NULL)
        die("memory");
    for (uint32_t i = 0; i < options.conns; i++)
        open_conn(&conns[i], i);
}

static void not_blocking(int epoll_fd)
{
    for (uint32_t i = 0; i < options.conns; i++) {
        struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.u32 = i};
        if (fcntl(conns[i].fd, F_SETFL, O_NONBLOCK) != 0 ||
            epoll_ctl(epoll_fd, EPOLL_CTL_ADD, conns[i].fd, &event) != 0)
            die("epoll");
    }
}

/* ---- ingest ---- */

static void topic_of(char *dst, size_t dst_bytes, uint32_t index)
{
    const char *percent = strchr(options.topic, '%');
    if (percent == NULL)
        snprintf(dst, dst_bytes, "%s", options.topic);
    else
        snprintf(dst, dst_bytes, "%.*s%u%s", (int)(percent - options.topic), options.topic, index,
                 percent + 1);
}

static void fill_batch(struct conn *conn)
{
    char topic[256], payload[128];
    topic_of(topic, sizeof(topic), conn->index);
    conn->batch = malloc(BATCH_BYTES);
    if (conn->batch == NULL)
        die("memory");
    bool sensor = strncmp(topic, "sensor/", 7) == 0;
    while (conn->batch_count < (options.qos > 0 ? IN_FLIGHT : 400)) {
        if (sensor)
            snprintf(payload, sizeof(payload), "%u.%02u", 20 + conn->batch_count % 5,
                     conn->batch_count % 100);
        else
            snprintf(payload, sizeof(payload), "%0100u", conn->batch_count);
        char full[300];
        if (options.topics > 0)
            snprintf(full, sizeof(full), "%s/%u", topic, conn->batch_count % options.topics);
        else
            snprintf(full, sizeof(full), "%s", topic);
        conn->batch_len += (uint32_t)put_publish(conn->batch + conn->batch_len, full, payload,
                                                 options.qos, (uint16_t)(conn->batch_count + 1));
        conn->batch_count++;
    }
    conn->left = options.count / options.conns / conn->batch_count * conn->batch_count;
}

static void write_more(struct conn *conn)
{
    static const uint8_t ping[] = {0xC0, 0};
    while (conn->left > 0 && !(options.qos > 0 && conn->batch_at == 0 && conn->unacked > 0)) {
        ssize_t sent = send(conn->fd, conn->batch + conn->batch_at,
                            conn->batch_len - conn->batch_at, MSG_NOSIGNAL);
        if (sent < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (sent < 0)
            die("send");
        if (conn->batch_at == 0 && options.qos > 0)
            conn->unacked = conn->batch_count;
        conn->batch_at += (uint32_t)sent;
        if (conn->batch_at == conn->batch_len) {
            conn->batch_at = 0;
            conn->left -= conn->batch_count;
        }
    }
    if (conn->left == 0 && options.qos == 0 && !conn->pinged) {
        conn->pinged = true;
        send_all(conn->fd, ping, sizeof(ping));
    }
}

/* PUBACKs and one PINGRESP: short packets of a known length. */
static void read_acks(struct conn *conn)
{
    for (;;) {
        ssize_t got = recv(conn->fd, conn->in + conn->in_len, IN_BYTES - conn->in_len, 0);
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            break;
        if (got <= 0)
            die("the server closed a connection");
        conn->in_len += (size_t)got;
        size_t at = 0;
        while (conn->in_len - at >= 2 && conn->in_len - at >= 2u + conn->in[at + 1]) {
            if (conn->in[at] == 0x40)
                conn->unacked--;
            else if (conn->in[at] == 0xD0)
                conn->done = true;
            else
                die("an answer that was not asked for");
            at += 2u + conn->in[at + 1];
        }
        memmove(conn->in, conn->in + at, conn->in_len - at);
        conn->in_len -= at;
    }
    if (options.qos > 0 && conn->left == 0 && conn->unacked == 0)
        conn->done = true;
}

static void run_ingest(void)
{
    struct epoll_event events[64];
    uint64_t total = 0;
    uint32_t open = options.conns;
    int epoll_fd = epoll_create1(0);
    for (uint32_t i = 0; i < options.conns; i++) {
        fill_batch(&conns[i]);
        total += conns[i].left;
    }
    uint64_t cpu_us = server_cpu_us(), begun_us = now_us();
    not_blocking(epoll_fd);
    while (open > 0) {
        int count = epoll_wait(epoll_fd, events, 64, 30000);
        if (count == 0)
            die("no answer for 30 s");
        for (int i = 0; i < count; i++) {
            struct conn *conn = &conns[events[i].data.u32];
            if (conn->done)
                continue;
            read_acks(conn);
            write_more(conn);
            read_acks(conn);
            if (conn->done)
                open--;
        }
    }
    double seconds = (double)(now_us() - begun_us) / 1e6;
    uint64_t spent_us = server_cpu_us() - cpu_us;
    printf("{\"messages\": %llu, \"seconds\": %.3f, \"rate\": %.0f, \"cpu_us_each\": %.3f}\n",
           (unsigned long long)total, seconds, (double)total / seconds,
           (double)spent_us / (double)total);
}

/* ---- idle ---- */

static void run_idle(void)
{
    options.conns = options.conns > 100 ? options.conns : 100;
    uint32_t wanted = options.conns;
    options.conns = 100; /* pools and first pages are not a connection's */
    struct rlimit files = {wanted + 64, wanted + 64};
    (void)setrlimit(RLIMIT_NOFILE, &files);
    conns = calloc(wanted, sizeof(*conns));
    if (conns == NULL)
        die("memory");
    for (uint32_t i = 0; i < 100; i++)
        open_conn(&conns[i], i);
    long before = server_rss_kib();
    for (uint32_t i = 100; i < wanted; i++)
        open_conn(&conns[i], i);
    long after = server_rss_kib();
    printf("{\"clients\": %u, \"rss_kib_before\": %ld, \"rss_kib_after\": %ld, \"bytes_each\": "
           "%.0f}\n",
           wanted, before, after, (double)(after - before) * 1024 / (double)(wanted - 100));
}

/* ---- loop ---- */

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* Waits for a PUBLISH; whatever else comes is passed over. */
static bool await_publish(struct conn *conn)
{
    uint8_t head[5], body[4096];
    struct timeval patience = {.tv_sec = 10};
    (void)setsockopt(conn->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    for (;;) {
        size_t len = 0;
        unsigned shift = 0;
        if (recv(conn->fd, head, 1, MSG_WAITALL) != 1)
            return false;
        do {
            if (recv(conn->fd, head + 1, 1, MSG_WAITALL) != 1)
                return false;
            len |= (size_t)(head[1] & 127) << shift;
            shift += 7;
        } while ((head[1] & 128) != 0 && shift < 28);
        if (len > sizeof(body))
            die("a packet too long for this program");
        read_exactly(conn->fd, body, len);
        if (head[0] >> 4 != 3)
            continue;
        if ((head[0] >> 1 & 3) == 1) { /* acknowledge it */
            size_t topic = (size_t)body[0] << 8 | body[1];
            uint8_t ack[4] = {0x40, 2, body[2 + topic], body[3 + topic]};
            send_all(conn->fd, ack, sizeof(ack));
        }
        return true;
    }
}

static void one_device(struct conn *conn)
{
    static const char *const names[] = {"temperature", "humidity", "sound_volume"};
    static const char *const values[] = {"26.5", "61", "0.08"};
    uint8_t packet[1024];
    char topic[128];
    snprintf(topic, sizeof(topic), "window/bench-window-%u/control", conn->index);
    send_all(conn->fd, packet, put_subscribe(packet, topic));
    read_exactly(conn->fd, packet, 5);
    size_t len = 0;
    for (size_t i = 0; i < 3; i++) {
        snprintf(topic, sizeof(topic), "sensor/bench-window-%u/%s", conn->index, names[i]);
        len += put_publish(packet + len, topic, values[i], 1, (uint16_t)(i + 1));
    }
    conn->sent_us = now_us();
    send_all(conn->fd, packet, len);
    if (!await_publish(conn))
        die("no control within 10 s");
    samples[sample_count++] = (uint32_t)(now_us() - conn->sent_us);
}

static void run_loop(void)
{
    samples = calloc(options.conns, sizeof(*samples));
    if (samples == NULL)
        die("memory");
    for (uint32_t i = 0; i < options.conns; i++)
        one_device(&conns[i]);
    qsort(samples, sample_count, sizeof(*samples), compare);
    printf("{\"asked\": %u, \"answered\": %u, \"p50_us\": %u, \"p99_us\": %u, \"max_us\": %u}\n",
           options.conns, sample_count, sample_count > 0 ? samples[sample_count / 2] : 0,
           sample_count > 0 ? samples[(size_t)sample_count * 99 / 100] : 0,
           sample_count > 0 ? samples[sample_count - 1] : 0);
}

int main(int argc, char **argv)
{
    if (argc < 2)
        die("which mode");
    options.mode = argv[1];
    for (int i = 2; i + 1 < argc; i += 2) {
        const char *name = argv[i], *value = argv[i + 1];
        if (strcmp(name, "--port") == 0)
            options.port = (uint16_t)atoi(value);
        else if (strcmp(name, "--pid") == 0)
            options.pid = atoi(value);
        else if (strcmp(name, "--qos") == 0)
            options.qos = atoi(value);
        else if (strcmp(name, "--conns") == 0)
            options.conns = (uint32_t)atoi(value);
        else if (strcmp(name, "--count") == 0)
            options.count = strtoull(value, NULL, 10);
        else if (strcmp(name, "--topics") == 0)
            options.topics = (uint32_t)atoi(value);
        else if (strcmp(name, "--topic") == 0)
            options.topic = value;
        else if (strcmp(name, "--user") == 0)
            options.user = value;
        else if (strcmp(name, "--password") == 0)
            options.password = value;
        else
            die(name);
    }
    if (strcmp(options.mode, "idle") == 0) {
        run_idle();
        return 0;
    }
    open_all();
    if (strcmp(options.mode, "ingest") == 0)
        run_ingest();
    else if (strcmp(options.mode, "loop") == 0)
        run_loop();
    else
        die("which mode");
    return 0;
}
