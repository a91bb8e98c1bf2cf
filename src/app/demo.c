#include "app/demo.h"
#include "app/child.h"

#include <unistd.h>
#include <string.h>

/* One machine of each kind. */
static const struct demo_machine {
    const char *machine_id, *kind, *name, *config;
} machines[] = {
    {"espresso-1", "espresso", "Espresso by the window", "{\"model\":\"both\"}"},
    {"window-1", "window", "Window to the yard", "{}"},
};
#define MACHINE_COUNT ARRAY_COUNT(machines)

struct demo {
    struct rooms *rooms;
    const struct options *options;
    char url[320], mqtt[280], folder[400];
    struct child child[MACHINE_COUNT];
    char token[MACHINE_COUNT][FLEET_TOKEN_BYTES];
    size_t seeding; /* the machine that is being seeded */
    bool stopping;
};

static void seed_next(struct demo *demo);

static void trouble(const char *what, enum err err)
{
    log_line(LOG_ERROR, "demo", "what", "%s", what, "err", "%s", err_name(err), NULL);
}

static struct fleet_by fleet_by(const struct demo *demo)
{
    return (struct fleet_by){STR("demo"), STR_NONE, loop_wall_ms(demo->rooms->loop)};
}

static struct access_by access_by(const struct demo *demo)
{
    return (struct access_by){STR("demo"), STR_NONE, loop_wall_ms(demo->rooms->loop)};
}

/* ---- a way in ---- */

static void link_made(void *cookie, enum err err, const char *code)
{
    const struct demo *demo = cookie;
    char link[512];
    if (err != ERR_OK) {
        trouble("no sign-in link", err);
        return;
    }
    (void)snprintf(link, sizeof(link), "%s/signin#code=%s", demo->url, code);
    log_line(LOG_WARN, "sign_in_once", "link", "%s", link, NULL);
    if (isatty(
            STDERR_FILENO)) /* for who typed `make run`: a sentence between the lines of the log */
        (void)fprintf(stderr, "\n    The cafe is open. Sign in once, within the hour:\n    %s\n\n",
                      link);
}

static void account_made(void *cookie, enum err err, const struct access_account *account)
{
    struct demo *demo = cookie;
    if (err == ERR_OK)
        err = access_link_create(demo->rooms->access, access_by(demo), account->account_id,
                                 account->role, link_made, demo);
    if (err != ERR_OK)
        trouble("no account", err);
}

/* The account's password is known to nobody: one comes in by the link only. */
static void seed_account(struct demo *demo)
{
    const struct access_account *account =
        access_account_named(demo->rooms->access, STR(DEMO_ACCOUNT));
    struct id128 secret[2];
    char password[2 * ID128_TEXT_BYTES];
    if (account != NULL) {
        account_made(demo, ERR_OK, account);
        return;
    }
    enum err err = sys_random(secret, sizeof(secret));
    if (err == ERR_OK) {
        hex_encode(password, (const uint8_t *)secret, sizeof(secret));
        err = access_account_create(demo->rooms->access, access_by(demo), STR(DEMO_ACCOUNT),
                                    ACCESS_ADMIN, str_from(password), account_made, demo);
    }
    if (err != ERR_OK)
        trouble("no account", err);
}

/* ---- machines ---- */

static void token_path(const struct demo *demo, size_t index, char *path, size_t path_bytes)
{
    (void)snprintf(path, path_bytes, "%s/%s.token", demo->folder, machines[index].machine_id);
}

static void twin_prepare(struct demo *demo, size_t index)
{
    struct child *child = &demo->child[index];
    char speed[16];
    (void)snprintf(speed, sizeof(speed), "%u", demo->options->demo_speed);
    child_init(child, machines[index].machine_id);
    child_argument(child, "twin", NULL);
    child_argument(child, "--kind", machines[index].kind);
    child_argument(child, "--id", machines[index].machine_id);
    child_argument(child, "--server", demo->url);
    child_argument(child, "--speed", speed);
    child_argument(child, "--mqtt", demo->mqtt[0] != 0 ? demo->mqtt : "off");
    char journal[512];
    (void)snprintf(journal, sizeof(journal), "%s/%s.journal", demo->folder,
                   machines[index].machine_id);
    child_argument(child, "--journal", journal);
    if (demo->options->tls_cert != NULL)
        child_argument(child, "--cacert", demo->options->tls_cert);
    child_secret(child, "AUTOMAT_TOKEN", demo->token[index]);
}

static void machine_ready(struct demo *demo)
{
    if (demo->stopping)
        return; /* no new twin for a cafe that closes */
    twin_prepare(demo, demo->seeding);
    demo->seeding++;
    seed_next(demo);
}

static void token_made(void *cookie, enum err err, const struct fleet_machine *machine,
                       int64_t token_id, const char *token)
{
    struct demo *demo = cookie;
    char path[512];
    (void)machine;
    (void)token_id;
    if (err == ERR_OK)
        err = str_copy(demo->token[demo->seeding], FLEET_TOKEN_BYTES, str_from(token));
    token_path(demo, demo->seeding, path, sizeof(path));
    if (err == ERR_OK)
        err = file_write_atomic(path, token, strlen(token), 0600);
    if (err != ERR_OK) {
        trouble("no token", err);
        demo->seeding++;
        seed_next(demo);
        return;
    }
    machine_ready(demo);
}

/* The token of an earlier run, if it is still good. */
static bool token_kept(struct demo *demo)
{
    char path[512];
    struct buf file;
    token_path(demo, demo->seeding, path, sizeof(path));
    if (!path_exists(path) || file_read(path, 256, &file) != ERR_OK)
        return false;
    const struct fleet_machine *machine = NULL;
    int64_t token_id;
    char *dst = demo->token[demo->seeding];
    bool good =
        str_copy(dst, FLEET_TOKEN_BYTES, buf_str(&file)) == ERR_OK &&
        fleet_authenticate(demo->rooms->fleet, str_from(dst), loop_wall_ms(demo->rooms->loop),
                           &machine, &token_id) == ERR_OK &&
        strcmp(machine->machine_id, machines[demo->seeding].machine_id) == 0;
    buf_finish(&file);
    return good;
}

static void seed_next(struct demo *demo)
{
    if (demo->seeding == MACHINE_COUNT || demo->stopping)
        return;
    const struct demo_machine *row = &machines[demo->seeding];
    const struct fleet_machine *machine = fleet_find(demo->rooms->fleet, str_from(row->machine_id));
    enum err err;
    if (machine == NULL) {
        struct fleet_add add = {.machine_id = str_from(row->machine_id),
                                .kind = str_from(row->kind),
                                .name = str_from(row->name),
                                .config = str_from(row->config),
                                .token_label = STR("demo"),
                                .demo = true};
        err = fleet_machine_add(demo->rooms->fleet, fleet_by(demo), &add, token_made, demo);
    } else if (token_kept(demo)) {
        machine_ready(demo);
        return;
    } else {
        err = fleet_token_create(demo->rooms->fleet, fleet_by(demo), str_from(row->machine_id),
                                 STR("demo"), token_made, demo);
    }
    if (err != ERR_OK) {
        trouble(row->machine_id, err);
        demo->seeding++;
        seed_next(demo);
    }
}

/* ---- life ---- */

struct demo *demo_start(struct rooms *rooms, const struct options *options, const char *url,
                        const char *mqtt)
{
    struct demo *demo = mem_zalloc(sizeof(*demo));
    if (demo == NULL)
        return NULL;
    demo->rooms = rooms;
    demo->options = options;
    (void)snprintf(demo->url, sizeof(demo->url), "%s", url);
    (void)snprintf(demo->mqtt, sizeof(demo->mqtt), "%s", mqtt);
    (void)snprintf(demo->folder, sizeof(demo->folder), "%s/demo", options->data);
    enum err err = dir_make(demo->folder, 0700);
    if (err != ERR_OK) {
        trouble(demo->folder, err);
        return demo;
    }
    seed_account(demo);
    seed_next(demo);
    return demo;
}

void demo_beat(struct demo *demo, int64_t now_ms)
{
    if (demo == NULL || demo->stopping)
        return;
    for (size_t i = 0; i < MACHINE_COUNT; i++)
        child_beat(&demo->child[i], now_ms);
}

void demo_stop(struct demo *demo)
{
    if (demo == NULL)
        return;
    demo->stopping = true;
    for (size_t i = 0; i < MACHINE_COUNT; i++)
        child_stop(&demo->child[i]);
}

void demo_destroy(struct demo *demo)
{
    if (demo == NULL)
        return;
    demo_stop(demo);
    for (size_t i = 0; i < MACHINE_COUNT; i++)
        child_finish(&demo->child[i]);
    mem_free(demo);
}
