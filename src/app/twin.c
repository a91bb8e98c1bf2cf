/* automat twin: a machine without metal. */
#include "app/app.h"
#include "twin/twin.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

/* A twin that a server started ends with it, however that one ends. */
static bool parent_lives(void)
{
    const char *parent = getenv("AUTOMAT_TWIN_PARENT");
    uint64_t pid;
    if (parent == NULL || str_to_u64(str_from(parent), &pid) != ERR_OK)
        return true;
    return prctl(PR_SET_PDEATHSIG, SIGTERM) == 0 && (uint64_t)getppid() == pid;
}

int app_twin(const struct options *options)
{
    if (!app_log_start(options) || !parent_lives())
        return 1;
    if (options->word_count > 0) {
        app_complain("\"%.60s\": one word too many", options->words[0]);
        return 2;
    }
    struct twin_options twin = {.kind = options->kind,
                                .id = options->id,
                                .server_url = options->server,
                                .token = options->token,
                                .cacert = options->cacert,
                                .mqtt = app_mqtt_given(options->mqtt),
                                .mqtts = app_mqtt_given(options->mqtts),
                                .speed = options->speed,
                                .poll_s = options->long_poll ? 0 : options->poll_s,
                                .journal_file = options->journal,
                                .actuations_file = options->actuations,
                                .seed = options->seed,
                                .fault_count = options->fault_count};
    for (size_t i = 0; i < options->fault_count; i++)
        twin.faults[i] = options->fault[i];
    struct loop *loop = NULL;
    char why[512] = "out of memory";
    enum err err = loop_create(&loop);
    if (err == ERR_OK)
        err = twin_run(loop, &twin, why, sizeof(why));
    loop_destroy(loop);
    if (err == ERR_OK)
        return 0;
    app_complain("twin: %s", why);
    return 1;
}
