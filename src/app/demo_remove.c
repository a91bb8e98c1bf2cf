/* automat demo remove: what --demo seeded goes, what people did with it stays on record. */
#include "app/app.h"
#include "app/demo.h"
#include "app/rooms.h"

#include <string.h>

#define USED_MAX 64

struct removal {
    struct rooms rooms;
    char used[USED_MAX][FLEET_ID_BYTES]; /* demo machines that commands refer to */
    size_t used_count;
    char asked[FLEET_ID_BYTES]; /* the machine being looked at */
    bool account_gone;
    uint32_t removed, kept;
    enum err err;
};

static const struct rooms_listener nobody = {NULL, NULL, NULL};

static void ask_next(struct removal *removal);

static void end(struct removal *removal, enum err err)
{
    removal->err = err;
    loop_stop(removal->rooms.loop);
}

static void machines_gone(void *cookie, enum err err, uint32_t removed, uint32_t kept)
{
    struct removal *removal = cookie;
    removal->removed = removed;
    removal->kept = kept;
    end(removal, err);
}

/* On the writer's thread; the list is finished by then. */
static enum err in_use(void *cookie, struct store_db *db, struct str machine_id, bool *ret_in_use)
{
    const struct removal *removal = cookie;
    (void)db;
    *ret_in_use = removal->used_count == USED_MAX;
    for (size_t i = 0; i < removal->used_count; i++)
        *ret_in_use = *ret_in_use || str_equal(str_from(removal->used[i]), machine_id);
    return ERR_OK;
}

static void remove_machines(struct removal *removal)
{
    struct fleet_by by = {STR("demo"), STR_NONE, loop_wall_ms(removal->rooms.loop)};
    enum err err =
        fleet_demo_remove(removal->rooms.fleet, by, in_use, removal, machines_gone, removal);
    if (err != ERR_OK)
        end(removal, err);
}

static void account_changed(void *cookie, enum err err, const struct access_account *account)
{
    struct removal *removal = cookie;
    (void)account;
    removal->account_gone = err == ERR_OK;
    remove_machines(removal);
}

/* The record names the account, so it stays, and opens nothing. */
static void disable_account(struct removal *removal)
{
    struct access_by by = {STR("demo"), STR_NONE, loop_wall_ms(removal->rooms.loop)};
    const struct access_account *account =
        access_account_named(removal->rooms.access, STR(DEMO_ACCOUNT));
    removal->account_gone = account == NULL || account->disabled;
    if (removal->account_gone ||
        access_account_change(removal->rooms.access, by, account->account_id, account->role, true,
                              account_changed, removal) != ERR_OK)
        remove_machines(removal);
}

static void listed(void *cookie, enum err err, const struct queue_command *commands, size_t count,
                   bool more)
{
    struct removal *removal = cookie;
    (void)commands;
    (void)more;
    if (err != ERR_OK) {
        end(removal, err);
        return;
    }
    if (count > 0 && removal->used_count < USED_MAX)
        memcpy(removal->used[removal->used_count++], removal->asked, sizeof(removal->asked));
    ask_next(removal);
}

static void ask_next(struct removal *removal)
{
    const struct fleet_machine *machine =
        fleet_next(removal->rooms.fleet, str_from(removal->asked));
    while (machine != NULL && !machine->demo)
        machine = fleet_next(removal->rooms.fleet, str_from(machine->machine_id));
    if (machine == NULL) {
        disable_account(removal);
        return;
    }
    memcpy(removal->asked, machine->machine_id, sizeof(removal->asked));
    struct queue_filter filter = {.machine_id = str_from(removal->asked), .limit = 1};
    enum err err = queue_list(removal->rooms.queue, &filter, listed, removal);
    if (err != ERR_OK)
        end(removal, err);
}

static void begin(void *cookie)
{
    ask_next(cookie);
}

int app_demo(const struct options *options)
{
    static struct removal removal;
    char why[512];
    struct loop_timer *timer = NULL;
    if (options->word_count != 1 || strcmp(options->words[0], "remove") != 0) {
        app_complain("usage: automat demo remove --data DIR");
        return 2;
    }
    removal = (struct removal){.err = ERR_IO};
    bool opened = rooms_open(&removal.rooms, options, &nobody, why, sizeof(why));
    if (opened && loop_timer_create(removal.rooms.loop, begin, &removal, &timer) == ERR_OK) {
        loop_timer_set(timer, loop_now_ms(removal.rooms.loop));
        loop_run(removal.rooms.loop);
        loop_timer_destroy(timer);
    }
    enum err err = removal.err;
    rooms_close(&removal.rooms);
    if (!opened || err != ERR_OK) {
        app_complain("%s", opened ? "nothing was removed" : why);
        return 1;
    }
    (void)printf("%u machines removed, %u kept for the record%s\n", removal.removed, removal.kept,
                 removal.account_gone ? "" : "; the account \"demo\" is the last admin and stays");
    return 0;
}
