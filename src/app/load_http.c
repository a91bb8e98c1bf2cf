/* Devices over HTTP: as many requests at once as there are devices, up to a bound. */
#include "app/app.h"
#include "app/load.h"

#include <curl/curl.h>
#include <signal.h>
#include <string.h>

#define HANDLES_MAX  128u
#define DRAIN_MS_MAX 10000
#define STEP_MS      5

struct handle {
    CURL *curl;
    struct curl_slist *fields;
    int64_t sent_us;
    bool busy;
    char body[160], url[1024];
};

struct sending {
    struct load *load;
    CURLM *multi;
    struct handle handle[HANDLES_MAX];
    uint32_t handle_count;
    uint64_t index;
};

static volatile sig_atomic_t interrupted;

static void on_signal(int signal)
{
    (void)signal;
    interrupted = 1;
}

static size_t ignore(char *bytes, size_t size, size_t count, void *cookie)
{
    (void)bytes;
    (void)cookie;
    return size * count;
}

static void answered(struct sending *sending, struct handle *handle, CURLcode code)
{
    struct load_count *count = &sending->load->count;
    long status = 0;
    if (code == CURLE_OK)
        (void)curl_easy_getinfo(handle->curl, CURLINFO_RESPONSE_CODE, &status);
    (void)curl_multi_remove_handle(sending->multi, handle->curl);
    handle->busy = false;
    if (status == 200) {
        count->acked++;
        tool_latency_add(&count->latency, sys_mono_us() - handle->sent_us);
    } else if (status != 0) {
        count->refused++;
    } else {
        count->failed++;
    }
}

static void collect(struct sending *sending)
{
    int running, left;
    CURLMsg *message;
    (void)curl_multi_perform(sending->multi, &running);
    while ((message = curl_multi_info_read(sending->multi, &left)) != NULL) {
        struct handle *handle = NULL;
        CURLcode code = message->data.result;
        if (message->msg != CURLMSG_DONE)
            continue;
        (void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&handle);
        answered(sending, handle, code);
    }
}

static bool set_up(struct handle *handle, const struct options *options)
{
    CURL *curl = handle->curl;
    bool good = curl_easy_setopt(curl, CURLOPT_URL, handle->url) == CURLE_OK &&
                curl_easy_setopt(curl, CURLOPT_PRIVATE, handle) == CURLE_OK &&
                curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
                curl_easy_setopt(curl, CURLOPT_HTTPHEADER, handle->fields) == CURLE_OK &&
                curl_easy_setopt(curl, CURLOPT_POSTFIELDS, handle->body) == CURLE_OK &&
                curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, 10000L) == CURLE_OK &&
                curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
                curl_easy_setopt(curl, CURLOPT_NOPROXY, "*") == CURLE_OK &&
                curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, ignore) == CURLE_OK;
    if (good && options->cacert != NULL)
        good = curl_easy_setopt(curl, CURLOPT_CAINFO, options->cacert) == CURLE_OK;
    return good;
}

static bool send_by(struct sending *sending, struct handle *handle, uint64_t index)
{
    uint32_t i;
    char authorization[256];
    struct load *load = sending->load;
    const struct load_device *device = load_turn(load, index, &i);
    struct str server = str_from(load->options->server);
    while (server.len > 0 && server.at[server.len - 1] == '/')
        server.len--;
    (void)snprintf(handle->url, sizeof(handle->url), "%.*s/api/machines/%s/readings",
                   STR_ARG(server), device->id);
    (void)snprintf(handle->body, sizeof(handle->body),
                   "{\"readings\":[{\"type\":\"temperature\",\"value\":%.3f}]}", load_value(index));
    (void)snprintf(authorization, sizeof(authorization), "%s%s",
                   device->token[0] != '\0' ? "Authorization: Bearer " : "X-Tool: automat",
                   device->token);
    curl_slist_free_all(handle->fields);
    handle->fields = curl_slist_append(NULL, authorization);
    struct curl_slist *more = curl_slist_append(handle->fields, "Content-Type: application/json");
    if (more == NULL || !set_up(handle, load->options) ||
        curl_multi_add_handle(sending->multi, handle->curl) != CURLM_OK)
        return false;
    handle->busy = true;
    handle->sent_us = sys_mono_us();
    load->count.sent++;
    return true;
}

static bool send_some(struct sending *sending, uint64_t due)
{
    uint32_t busy = 0;
    for (uint32_t i = 0; i < sending->handle_count; i++) {
        struct handle *handle = &sending->handle[i];
        if (!handle->busy && sending->index < due && !send_by(sending, handle, sending->index++))
            return false;
        busy += handle->busy;
    }
    sending->load->count.connected = busy;
    if (busy > sending->load->count.connected_max)
        sending->load->count.connected_max = busy;
    return true;
}

static bool busy(const struct sending *sending)
{
    for (uint32_t i = 0; i < sending->handle_count; i++) {
        if (sending->handle[i].busy)
            return true;
    }
    return false;
}

static bool run(struct sending *sending)
{
    struct load *load = sending->load;
    int64_t until_us = sys_mono_us() + (int64_t)load->options->seconds * 1000000;
    load->begin_us = sys_mono_us();
    while (sys_mono_us() < until_us && interrupted == 0) {
        collect(sending);
        if (!send_some(sending, load_due(load, sys_mono_us())))
            return false;
        load_show(load);
        (void)curl_multi_poll(sending->multi, NULL, 0, STEP_MS, NULL);
    }
    load->end_us = sys_mono_us();
    uint64_t due = load_due(load, load->end_us);
    load->count.due = due;
    load->count.held = due > sending->index ? due - sending->index : 0;
    int64_t drained_us = sys_mono_us() + (int64_t)DRAIN_MS_MAX * 1000;
    while (busy(sending) && sys_mono_us() < drained_us) {
        collect(sending);
        (void)curl_multi_poll(sending->multi, NULL, 0, STEP_MS, NULL);
    }
    return true;
}

bool load_over_http(struct load *load)
{
    static struct sending sending; /* too big for the stack */
    sending = (struct sending){.load = load, .multi = curl_multi_init()};
    sending.handle_count = load->device_count < HANDLES_MAX ? load->device_count : HANDLES_MAX;
    bool good = sending.multi != NULL;
    for (uint32_t i = 0; good && i < sending.handle_count; i++) {
        sending.handle[i].curl = curl_easy_init();
        good = sending.handle[i].curl != NULL;
    }
    (void)signal(SIGINT, on_signal);
    if (!good || !run(&sending)) {
        app_complain("out of memory");
        good = false;
    }
    for (uint32_t i = 0; i < sending.handle_count; i++) {
        if (sending.handle[i].busy)
            (void)curl_multi_remove_handle(sending.multi, sending.handle[i].curl);
        curl_easy_cleanup(sending.handle[i].curl);
        curl_slist_free_all(sending.handle[i].fields);
    }
    curl_multi_cleanup(sending.multi);
    return good;
}
