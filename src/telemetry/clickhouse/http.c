/* ClickHouse's HTTP door over libcurl's multi interface: curl says which sockets and which time-out
 * it wants watched, libuv watches them.  One request at a time a channel. */
#include "telemetry/clickhouse/clickhouse_int.h"

#include <curl/curl.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

#define ANSWER_BYTES_MAX (64 * KIB)
#define URL_BYTES_MAX    (8 * KIB)

struct exchange { /* one channel */
    struct telemetry_clickhouse_http *http;
    unsigned channel;
    CURL *easy;
    struct buf answer, url;
    char error[CURL_ERROR_SIZE];
    bool busy, too_long;
};

struct telemetry_clickhouse_http {
    struct loop *loop;
    struct loop_timer *timer;
    CURLM *multi;
    char *base_url, *database;
    struct curl_slist *headers; /* who we are: never in the URL, which servers and proxies log */
    telemetry_clickhouse_http_done *done;
    void *cookie;
    struct exchange exchange[CLICKHOUSE_CHANNEL_COUNT];
};

struct socket_watch { /* outlives the http until libuv let go of it */
    uv_poll_t poll;
    struct telemetry_clickhouse_http *http; /* NULL: closing */
    curl_socket_t socket;
};

/* ---- answers ---- */

static void finished(struct exchange *exchange, CURLcode code)
{
    long status = 0;
    enum err err = ERR_OK;
    struct str text = buf_str(&exchange->answer);
    struct telemetry_clickhouse_http *http = exchange->http;
    curl_multi_remove_handle(http->multi, exchange->easy);
    exchange->busy = false;
    if (code == CURLE_OK) {
        curl_easy_getinfo(exchange->easy, CURLINFO_RESPONSE_CODE, &status);
    } else {
        err = exchange->too_long                 ? ERR_FULL
              : code == CURLE_OPERATION_TIMEDOUT ? ERR_TIMEOUT
                                                 : ERR_IO;
        text = str_from(exchange->error[0] != '\0' ? exchange->error : curl_easy_strerror(code));
    }
    http->done(http->cookie, exchange->channel, err, (uint32_t)status, text);
}

/* One message at a time: `done` may send again, and curl's list is then another. */
static void collect(struct telemetry_clickhouse_http *http)
{
    int left;
    CURLMsg *message;
    while ((message = curl_multi_info_read(http->multi, &left)) != NULL) {
        struct exchange *exchange = NULL;
        CURLcode code = message->data.result;
        if (message->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&exchange);
        finished(exchange, code);
    }
}

static size_t on_bytes(char *bytes, size_t size, size_t count, void *cookie)
{
    struct exchange *exchange = cookie;
    if (buf_add(&exchange->answer, bytes, size * count) == ERR_OK)
        return size * count;
    exchange->too_long = true; /* less than all makes curl fail the transfer */
    return 0;
}

/* ---- sockets and time ---- */

static void poll_closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}

static void poll_ready(uv_poll_t *poll, int status, int events)
{
    struct socket_watch *watch = poll->data;
    struct telemetry_clickhouse_http *http = watch->http;
    int flags = status < 0 ? CURL_CSELECT_ERR : 0;
    int running;
    if (http == NULL)
        return;
    flags |= (events & UV_READABLE) != 0 ? CURL_CSELECT_IN : 0;
    flags |= (events & UV_WRITABLE) != 0 ? CURL_CSELECT_OUT : 0;
    curl_multi_socket_action(http->multi, watch->socket, flags, &running);
    collect(http);
}

static void poll_end(struct socket_watch *watch)
{
    watch->http = NULL;
    uv_poll_stop(&watch->poll);
    uv_close((uv_handle_t *)&watch->poll, poll_closed);
}

static struct socket_watch *poll_begin(struct telemetry_clickhouse_http *http, curl_socket_t socket)
{
    struct socket_watch *watch = mem_zalloc(sizeof(*watch));
    if (watch == NULL)
        return NULL;
    watch->http = http;
    watch->socket = socket;
    if (uv_poll_init_socket(loop_uv(http->loop), &watch->poll, socket) != 0) {
        mem_free(watch);
        return NULL;
    }
    watch->poll.data = watch;
    curl_multi_assign(http->multi, socket, watch);
    return watch;
}

/* curl's answer to -1 is to fail what uses this socket. */
static int on_socket(CURL *easy, curl_socket_t socket, int what, void *cookie, void *assigned)
{
    struct telemetry_clickhouse_http *http = cookie;
    struct socket_watch *watch = assigned;
    int events = 0;
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (watch != NULL)
            poll_end(watch);
        curl_multi_assign(http->multi, socket, NULL);
        return 0;
    }
    if (watch == NULL)
        watch = poll_begin(http, socket);
    if (watch == NULL)
        return -1;
    events |= what != CURL_POLL_OUT ? UV_READABLE : 0;
    events |= what != CURL_POLL_IN ? UV_WRITABLE : 0;
    return uv_poll_start(&watch->poll, events, poll_ready) == 0 ? 0 : -1;
}

static int on_timeout(CURLM *multi, long timeout_ms, void *cookie)
{
    struct telemetry_clickhouse_http *http = cookie;
    (void)multi;
    if (timeout_ms < 0)
        loop_timer_clear(http->timer);
    else
        loop_timer_set(http->timer, loop_now_ms(http->loop) + timeout_ms);
    return 0;
}

static void timer_fired(void *cookie)
{
    struct telemetry_clickhouse_http *http = cookie;
    int running;
    curl_multi_socket_action(http->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    collect(http);
}

/* ---- making ---- */

static enum err add_header(struct telemetry_clickhouse_http *http, const char *name,
                           const char *value)
{
    char line[512];
    int len = snprintf(line, sizeof(line), "%s: %s", name, value);
    if (len < 0 || (size_t)len >= sizeof(line) || strpbrk(value, "\r\n") != NULL)
        return ERR_INPUT;
    struct curl_slist *longer = curl_slist_append(http->headers, line);
    if (longer == NULL)
        return ERR_NOMEM;
    http->headers = longer;
    return ERR_OK;
}

static enum err take_texts(struct telemetry_clickhouse_http *http,
                           const struct telemetry_sink_options *options)
{
    struct str url = str_from(options->url);
    bool plain = str_starts(url, STR("http://")) || str_starts(url, STR("https://"));
    enum err err = plain && strpbrk(options->url, "@?# \r\n") == NULL ? ERR_OK : ERR_INPUT;
    while (url.len > 0 && url.at[url.len - 1] == '/')
        url.len--;
    if (err == ERR_OK && options->user != NULL)
        err = add_header(http, "X-ClickHouse-User", options->user);
    if (err == ERR_OK && options->password != NULL)
        err = add_header(http, "X-ClickHouse-Key", options->password);
    if (err == ERR_OK)
        err = add_header(http, "Expect", ""); /* "Expect:": no round trip before the body */
    if (err == ERR_OK)
        err = add_header(http, "Content-Type", "application/octet-stream");
    if (err != ERR_OK)
        return err;
    http->base_url = mem_strdup(url);
    http->database = mem_strdup(str_from(options->database));
    return http->base_url != NULL && http->database != NULL ? ERR_OK : ERR_NOMEM;
}

static enum err open_multi(struct telemetry_clickhouse_http *http)
{
    static bool started; /* loop thread only; curl is never shut down again */
    if (!started && curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return ERR_NOMEM;
    started = true;
    http->multi = curl_multi_init();
    if (http->multi == NULL)
        return ERR_NOMEM;
    curl_multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(http->multi, CURLMOPT_SOCKETDATA, http);
    curl_multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, on_timeout);
    curl_multi_setopt(http->multi, CURLMOPT_TIMERDATA, http);
    for (unsigned i = 0; i < CLICKHOUSE_CHANNEL_COUNT; i++) {
        http->exchange[i].easy = curl_easy_init();
        if (http->exchange[i].easy == NULL)
            return ERR_NOMEM;
    }
    return ERR_OK;
}

enum err telemetry_clickhouse_http_create(const struct telemetry_sink_options *options,
                                          telemetry_clickhouse_http_done *done, void *cookie,
                                          struct telemetry_clickhouse_http **ret_http)
{
    struct telemetry_clickhouse_http *http = mem_zalloc(sizeof(*http));
    if (http == NULL)
        return ERR_NOMEM;
    http->loop = options->loop;
    http->done = done;
    http->cookie = cookie;
    for (unsigned i = 0; i < CLICKHOUSE_CHANNEL_COUNT; i++) {
        struct exchange *exchange = &http->exchange[i];
        exchange->http = http;
        exchange->channel = i;
        buf_init(&exchange->answer, ANSWER_BYTES_MAX);
        buf_init(&exchange->url, URL_BYTES_MAX);
    }
    enum err err = loop_timer_create(options->loop, timer_fired, http, &http->timer);
    if (err == ERR_OK)
        err = take_texts(http, options);
    if (err == ERR_OK)
        err = open_multi(http);
    if (err != ERR_OK) {
        telemetry_clickhouse_http_destroy(http);
        return err;
    }
    *ret_http = http;
    return ERR_OK;
}

void telemetry_clickhouse_http_destroy(struct telemetry_clickhouse_http *http)
{
    if (http == NULL)
        return;
    for (unsigned i = 0; i < CLICKHOUSE_CHANNEL_COUNT; i++) {
        struct exchange *exchange = &http->exchange[i];
        if (exchange->busy)
            curl_multi_remove_handle(http->multi, exchange->easy);
        if (exchange->easy != NULL)
            curl_easy_cleanup(exchange->easy);
        buf_finish(&exchange->answer);
        buf_finish(&exchange->url);
    }
    if (http->multi != NULL)
        curl_multi_cleanup(http->multi); /* lets go of its sockets by on_socket */
    curl_slist_free_all(http->headers);
    loop_timer_destroy(http->timer);
    mem_free(http->base_url);
    mem_free(http->database);
    mem_free(http);
}

/* ---- sending ---- */

static enum err write_url(struct exchange *exchange,
                          const struct telemetry_clickhouse_request *request)
{
    struct telemetry_clickhouse_http *http = exchange->http;
    /* Headers wait for the end, so that a status of 200 is the verdict on all of it. */
    enum err err = buf_printf(&exchange->url, "%s/?wait_end_of_query=1", http->base_url);
    if (err == ERR_OK && !request->without_database)
        err = buf_printf(&exchange->url, "&database=%s", http->database);
    if (err == ERR_OK && request->settings != NULL)
        err = buf_add_str(&exchange->url, str_from(request->settings));
    if (err == ERR_OK && request->rows.at != NULL) {
        char *escaped = curl_easy_escape(exchange->easy, request->sql, 0);
        err = escaped == NULL ? ERR_NOMEM : buf_printf(&exchange->url, "&query=%s", escaped);
        curl_free(escaped);
    }
    return err == ERR_OK ? buf_add(&exchange->url, "", 1) : err; /* its NUL */
}

static void set_options(struct exchange *exchange,
                        const struct telemetry_clickhouse_request *request, uint32_t timeout_ms)
{
    CURL *easy = exchange->easy;
    struct str body = request->rows.at != NULL ? request->rows : str_from(request->sql);
    curl_easy_reset(easy); /* keeps the connection */
    curl_easy_setopt(easy, CURLOPT_URL, exchange->url.at);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, exchange);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, exchange->error);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, exchange);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, exchange->http->headers);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_NOPROXY, "localhost,127.0.0.1,::1");
    curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.len);
    if (request->rows.at == NULL) {
        curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, body.at);
        return;
    }
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body.at);
    /* When a connection that was used before dies without an answer, curl sends the request again
     * by itself: rows twice.  On a fresh one it does not. */
    curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
}

enum err telemetry_clickhouse_http_send(struct telemetry_clickhouse_http *http,
                                        const struct telemetry_clickhouse_request *request,
                                        uint32_t timeout_ms)
{
    struct exchange *exchange = &http->exchange[request->channel];
    ASSERT(!exchange->busy);
    exchange->answer.len = 0;
    exchange->url.len = 0;
    exchange->error[0] = '\0';
    exchange->too_long = false;
    enum err err = write_url(exchange, request);
    if (err != ERR_OK)
        return err;
    set_options(exchange, request, timeout_ms);
    if (curl_multi_add_handle(http->multi, exchange->easy) != CURLM_OK)
        return ERR_IO;
    exchange->busy = true;
    return ERR_OK;
}
