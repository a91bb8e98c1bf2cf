/* Requests over libcurl's multi interface, driven by the loop: curl says which sockets and which
 * time-out it wants watched, libuv watches them. */
#include "twin/twin_int.h"

#include <curl/curl.h>
#include <string.h>
#include <uv.h>

#define ANSWER_BYTES_MAX    (64 * KIB)
#define URL_BYTES           2048
#define HEADER_BYTES        512
#define READINGS_BYTES_MAX  (256 * KIB)
#define READINGS_TIMEOUT_MS 10000

struct request { /* one channel */
    struct twin_http *http;
    unsigned channel;
    CURL *easy;
    struct curl_slist *headers;
    struct buf answer;
    char *body;
    bool busy;
    char error[CURL_ERROR_SIZE];
};

struct twin_http {
    struct twin_link link; /* first: a link is this */
    struct loop *loop;
    struct loop_timer *timer;
    CURLM *multi;
    char *server_url, *authorization, *cacert, *readings_path;
    twin_link_done *done;
    void *cookie;
    struct request request[TWIN_CHANNEL_COUNT];
};

struct watch { /* one socket; outlives twin_http until libuv let go of it */
    uv_poll_t poll;
    struct twin_http *http; /* NULL: closing */
    curl_socket_t socket;
};

/* ---- finished ones ---- */

static void request_clear(struct request *request)
{
    if (request->busy)
        curl_multi_remove_handle(request->http->multi, request->easy);
    request->busy = false;
    curl_slist_free_all(request->headers);
    request->headers = NULL;
    mem_free(request->body);
    request->body = NULL;
}

static void request_done(struct request *request, CURLcode code)
{
    long status = 0;
    struct twin_http *http = request->http;
    if (code == CURLE_OK)
        curl_easy_getinfo(request->easy, CURLINFO_RESPONSE_CODE, &status);
    else
        log_line(LOG_DEBUG, "twin link", "why", "%s",
                 request->error[0] != '\0' ? request->error : curl_easy_strerror(code), NULL);
    request_clear(request);
    http->done(http->cookie, request->channel, (uint32_t)status, buf_str(&request->answer));
}

/* One message at a time: `done` may send again, and curl's list is then another. */
static void collect(struct twin_http *http)
{
    int left;
    CURLMsg *message;
    while ((message = curl_multi_info_read(http->multi, &left)) != NULL) {
        struct request *request = NULL;
        if (message->msg != CURLMSG_DONE)
            continue;
        CURLcode code = message->data.result;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&request);
        request_done(request, code);
    }
}

/* ---- sockets and time ---- */

static void watch_closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}

static void watch_ready(uv_poll_t *poll, int status, int events)
{
    struct watch *watch = poll->data;
    struct twin_http *http = watch->http;
    int flags = 0;
    int running;
    if (http == NULL)
        return;
    if (status < 0)
        flags = CURL_CSELECT_ERR;
    if ((events & UV_READABLE) != 0)
        flags |= CURL_CSELECT_IN;
    if ((events & UV_WRITABLE) != 0)
        flags |= CURL_CSELECT_OUT;
    curl_multi_socket_action(http->multi, watch->socket, flags, &running);
    collect(http);
}

static void watch_close(struct watch *watch)
{
    watch->http = NULL;
    uv_poll_stop(&watch->poll);
    uv_close((uv_handle_t *)&watch->poll, watch_closed);
}

static struct watch *watch_open(struct twin_http *http, curl_socket_t socket)
{
    struct watch *watch = mem_zalloc(sizeof(*watch));
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
    struct twin_http *http = cookie;
    struct watch *watch = assigned;
    int events = 0;
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (watch != NULL)
            watch_close(watch);
        curl_multi_assign(http->multi, socket, NULL);
        return 0;
    }
    if (watch == NULL)
        watch = watch_open(http, socket);
    if (watch == NULL)
        return -1;
    if (what == CURL_POLL_IN || what == CURL_POLL_INOUT)
        events |= UV_READABLE;
    if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT)
        events |= UV_WRITABLE;
    return uv_poll_start(&watch->poll, events, watch_ready) == 0 ? 0 : -1;
}

static int on_timer(CURLM *multi, long timeout_ms, void *cookie)
{
    struct twin_http *http = cookie;
    (void)multi;
    /* Never from inside this call: curl forbids it, and so does device.h. */
    if (timeout_ms < 0)
        loop_timer_clear(http->timer);
    else
        loop_timer_set(http->timer, loop_now_ms(http->loop) + timeout_ms);
    return 0;
}

static void timer_fired(void *cookie)
{
    struct twin_http *http = cookie;
    int running;
    curl_multi_socket_action(http->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    collect(http);
}

/* ---- making ---- */

static enum err open_multi(struct twin_http *http)
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
    curl_multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(http->multi, CURLMOPT_TIMERDATA, http);
    for (unsigned i = 0; i < TWIN_CHANNEL_COUNT; i++) {
        struct request *request = &http->request[i];
        request->http = http;
        request->channel = i;
        buf_init(&request->answer, ANSWER_BYTES_MAX);
        request->easy = curl_easy_init();
        if (request->easy == NULL)
            return ERR_NOMEM;
    }
    return ERR_OK;
}

static enum err copy_texts(struct twin_http *http, const struct twin_link_options *options)
{
    char header[HEADER_BYTES];
    char path[WIRE_PATH_BYTES];
    const char *token = options->token;
    const char *cacert = options->cacert;
    struct str url = str_from(options->server_url);
    while (url.len > 0 && url.at[url.len - 1] == '/')
        url.len--;
    int len = snprintf(header, sizeof(header), "Authorization: Bearer %s", token);
    if (len < 0 || (size_t)len >= sizeof(header) || strpbrk(token, "\r\n") != NULL)
        return ERR_INPUT;
    (void)snprintf(path, sizeof(path), "/api/machines/%s/readings", options->machine_id);
    http->readings_path = mem_strdup(str_from(path));
    http->server_url = mem_strdup(url);
    http->authorization = mem_strdup(str_from(header));
    http->cacert = cacert != NULL ? mem_strdup(str_from(cacert)) : NULL;
    bool all = http->server_url != NULL && http->authorization != NULL &&
               http->readings_path != NULL && (cacert == NULL || http->cacert != NULL);
    return all ? ERR_OK : ERR_NOMEM;
}

static struct twin_http *http_of(struct twin_link *link)
{
    return (struct twin_http *)(void *)link;
}

static void link_cancel(struct twin_link *link)
{
    struct twin_http *http = http_of(link);
    for (unsigned i = 0; i < TWIN_CHANNEL_COUNT; i++) {
        if (http->request[i].easy != NULL)
            request_clear(&http->request[i]);
    }
}

static void link_destroy(struct twin_link *link)
{
    struct twin_http *http = http_of(link);
    if (http->multi != NULL)
        link_cancel(link);
    for (unsigned i = 0; i < TWIN_CHANNEL_COUNT; i++) {
        if (http->request[i].easy != NULL)
            curl_easy_cleanup(http->request[i].easy);
        buf_finish(&http->request[i].answer);
    }
    if (http->multi != NULL)
        curl_multi_cleanup(http->multi); /* lets go of its sockets by on_socket */
    loop_timer_destroy(http->timer);
    mem_free(http->server_url);
    mem_free(http->authorization);
    mem_free(http->cacert);
    mem_free(http->readings_path);
    mem_free(http);
}

/* ---- sending ---- */

static size_t on_bytes(char *bytes, size_t size, size_t count, void *cookie)
{
    struct request *request = cookie;
    /* Less than all makes curl fail the transfer: an answer beyond its bound is no answer. */
    return buf_add(&request->answer, bytes, size * count) == ERR_OK ? size * count : 0;
}

static enum err add_header(struct request *request, const char *line)
{
    struct curl_slist *longer = curl_slist_append(request->headers, line);
    if (longer == NULL)
        return ERR_NOMEM;
    request->headers = longer;
    return ERR_OK;
}

static enum err add_headers(struct request *request, const struct twin_request *asked)
{
    char line[HEADER_BYTES];
    enum err err = add_header(request, request->http->authorization);
    if (err == ERR_OK && asked->journal_id != NULL) {
        (void)snprintf(line, sizeof(line), "X-Journal-Id: %s", asked->journal_id);
        err = add_header(request, line);
    }
    if (err == ERR_OK && asked->post)
        err = add_header(request, "Content-Type: application/json");
    if (err == ERR_OK)
        err = add_header(request, "Expect:"); /* no round trip for a small body */
    return err;
}

static void set_options(struct request *request, const struct twin_request *asked, const char *url)
{
    CURL *easy = request->easy;
    const char *cacert = request->http->cacert;
    curl_easy_reset(easy);
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, request);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, request->error);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, request);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, request->headers);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)asked->timeout_ms);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_NOPROXY, "localhost,127.0.0.1,::1");
    curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L);
    if (cacert != NULL)
        curl_easy_setopt(easy, CURLOPT_CAINFO, cacert);
    if (asked->post) {
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, (long)asked->body.len);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request->body);
    }
}

static enum err http_send(struct twin_http *http, const struct twin_request *asked)
{
    char url[URL_BYTES];
    struct request *request = &http->request[asked->channel];
    request_clear(request);
    request->answer.len = 0;
    request->error[0] = '\0';
    int len = snprintf(url, sizeof(url), "%s%s", http->server_url, asked->path);
    if (len < 0 || (size_t)len >= sizeof(url))
        return ERR_FULL;
    if (asked->post) {
        request->body = mem_strdup(asked->body);
        if (request->body == NULL)
            return ERR_NOMEM;
    }
    if (add_headers(request, asked) != ERR_OK) {
        request_clear(request);
        return ERR_NOMEM;
    }
    set_options(request, asked, url);
    if (curl_multi_add_handle(http->multi, request->easy) != CURLM_OK) {
        request_clear(request);
        return ERR_IO;
    }
    request->busy = true;
    return ERR_OK;
}

static enum err link_send(struct twin_link *link, const struct twin_request *asked)
{
    return http_send(http_of(link), asked);
}

static enum err link_publish(struct twin_link *link, const struct twin_reading *readings,
                             size_t count)
{
    struct twin_http *http = http_of(link);
    if (http->request[TWIN_READINGS].busy)
        return ERR_AGAIN;
    struct buf body;
    buf_init(&body, READINGS_BYTES_MAX);
    enum err err = twin_readings_body(readings, count, &body);
    if (err == ERR_OK)
        err = http_send(http, &(struct twin_request){.channel = TWIN_READINGS,
                                                     .post = true,
                                                     .path = http->readings_path,
                                                     .body = buf_str(&body),
                                                     .timeout_ms = READINGS_TIMEOUT_MS});
    buf_finish(&body);
    return err;
}

enum err twin_http_create(const struct twin_link_options *options, struct twin_link **ret_link)
{
    struct twin_http *http = mem_zalloc(sizeof(*http));
    if (http == NULL)
        return ERR_NOMEM;
    http->link = (struct twin_link){
        .send = link_send, .publish = link_publish, .cancel = link_cancel, .destroy = link_destroy};
    http->loop = options->loop;
    http->done = options->done;
    http->cookie = options->cookie;
    enum err err = loop_timer_create(http->loop, timer_fired, http, &http->timer);
    if (err == ERR_OK)
        err = copy_texts(http, options);
    if (err == ERR_OK)
        err = open_multi(http);
    if (err != ERR_OK) {
        link_destroy(&http->link);
        return err;
    }
    *ret_link = &http->link;
    return ERR_OK;
}
