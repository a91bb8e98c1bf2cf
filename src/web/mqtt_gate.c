/* The MQTT door: who is there.  A device shows its token as password and its machine id as user
 * name; people and programs show an API token under any name; with --open nobody has to.  A board
 * with a token that nobody knows announces itself and waits for staff, as over HTTP. */
#include "web/mqtt_int.h"

#include <sodium.h>
#include <string.h>

#define ANNOUNCE_AFTER_MS 5000 /* for its hello, which says its kind */
#define TOKEN_LEN_MIN     32

int64_t web_credential_of_token(int64_t access_token_id)
{
    return -access_token_id - 1; /* fleet's numbers are positive */
}

static bool take(struct web *web, enum access_rate_class class, const char *peer)
{
    char key[ACCESS_ADDRESS_BYTES + 1] = "!";
    int64_t retry_ms = 0;
    access_address_key(str_from(peer), key + 1);
    return access_rate_take(access_rate_table(web->access, class), str_from(key), web_mono_ms(web),
                            &retry_ms);
}

/* A wrong secret costs its address one of few tries; who shows a good one is let in all the same,
 * since others may sit behind that address, too. */
static enum mqtt_reason wrong(struct web *web, const struct broker_credentials *credentials)
{
    web->metrics.problems_auth++;
    return take(web, ACCESS_RATE_LOGIN, credentials->peer) ? MQTT_BAD_CREDENTIALS
                                                           : MQTT_SERVER_BUSY;
}

static void actor_set(struct broker_identity *identity, const char *prefix, const char *name)
{
    struct text text;
    text_init(&text, identity->actor, sizeof(identity->actor));
    text_add(&text, str_from(prefix));
    text_add(&text, str_from(name));
}

static void device_set(struct broker_identity *identity, struct str machine_id)
{
    identity->role = BUS_DEVICE;
    if (str_copy(identity->machine_id, sizeof(identity->machine_id), machine_id) != ERR_OK)
        identity->role = BUS_NOBODY;
    actor_set(identity, "machine:", identity->machine_id);
}

/* ---- boards that staff has not let in yet ---- */

struct web_announced *web_announced_find(struct web *web, struct str machine_id)
{
    for (size_t i = 0; i < WEB_ANNOUNCED_MAX; i++) {
        struct web_announced *one = &web->announced[i];
        if (one->at_mono_ms != 0 && str_equal(str_from(one->machine_id), machine_id))
            return one;
    }
    return NULL;
}

void web_announced_said(struct web_announced *announced)
{
    sodium_memzero(announced->token, sizeof(announced->token));
}

void web_announced_forget(struct web_announced *announced)
{
    sodium_memzero(announced, sizeof(*announced));
}

/* The place of who waits longest gives way, if that one has said hello: it is in the registry. */
static struct web_announced *announced_place(struct web *web)
{
    struct web_announced *oldest = NULL;
    for (size_t i = 0; i < WEB_ANNOUNCED_MAX; i++) {
        struct web_announced *one = &web->announced[i];
        if (one->at_mono_ms == 0)
            return one;
        if (one->token[0] == 0 && (oldest == NULL || one->at_mono_ms < oldest->at_mono_ms))
            oldest = one;
    }
    return oldest;
}

static bool announced_add(struct web *web, struct str machine_id, struct str token)
{
    struct web_announced *place = web_announced_find(web, machine_id);
    if (place == NULL)
        place = announced_place(web);
    if (place == NULL)
        return false;
    web_announced_forget(place);
    place->at_mono_ms = web_mono_ms(web) + 1;
    place->nameless = token.len > 0;
    if (str_copy(place->machine_id, sizeof(place->machine_id), machine_id) == ERR_OK &&
        (token.len == 0 || str_copy(place->token, sizeof(place->token), token) == ERR_OK))
        return true;
    web_announced_forget(place);
    return false;
}

static void announced_done(void *cookie, enum err err, const struct fleet_machine *machine)
{
    struct web *web = cookie;
    (void)machine;
    if (err == ERR_OK || err == ERR_CONFLICT)
        web_hub_records(web->hub);
    else
        log_line(LOG_WARN, "announce", "err", "%s", err_name(err), NULL);
}

static void announce(struct web *web, struct str machine_id, struct str token)
{
    struct fleet_by by = {STR("mqtt"), STR_NONE, web_now_ms(web)};
    enum err err =
        fleet_announce(web->fleet, by, machine_id, STR("window"), token, announced_done, web);
    if (err != ERR_OK)
        announced_done(web, err, NULL);
}

/* Who has not said hello by now is a plain device: they live in windows. */
void web_announced_tick(struct web *web)
{
    for (size_t i = 0; i < WEB_ANNOUNCED_MAX; i++) {
        struct web_announced *one = &web->announced[i];
        if (one->token[0] == 0 || web_mono_ms(web) - one->at_mono_ms < ANNOUNCE_AFTER_MS)
            continue;
        announce(web, str_from(one->machine_id), str_from(one->token));
        web_announced_said(one);
    }
}

void web_announced_decided(struct web *web, const struct fleet_machine *machine)
{
    struct str machine_id = str_from(machine->machine_id);
    struct web_announced *one = web_announced_find(web, machine_id);
    if (one == NULL || machine->admission == FLEET_WAITING)
        return;
    bool again = one->nameless || machine->admission != FLEET_ADMITTED;
    web_announced_forget(one);
    if (again) {
        broker_revoke(web->broker, machine_id, 0);
        return;
    }
    broker_admitted(web->broker, machine_id);
    web_road_config(web, machine);
}

static bool token_presentable(struct str token)
{
    if (token.len < TOKEN_LEN_MIN || token.len > FLEET_TOKEN_LEN_MAX)
        return false;
    for (size_t i = 0; i < token.len; i++) {
        if (token.at[i] <= 0x20 || token.at[i] >= 0x7f)
            return false;
    }
    return true;
}

static enum mqtt_reason announcement(struct web *web, const struct broker_credentials *credentials,
                                     struct broker_identity *identity)
{
    struct str machine_id = credentials->user, token = credentials->password;
    const struct web_announced *before = web_announced_find(web, machine_id);
    bool other =
        before != NULL && before->token[0] != 0 && !str_equal(str_from(before->token), token);
    if (!id_valid(machine_id) || !token_presentable(token) || other)
        return wrong(web, credentials);
    if (!take(web, ACCESS_RATE_HELLO, credentials->peer))
        return MQTT_SERVER_BUSY;
    if (fleet_find(web->fleet, machine_id) != NULL) {
        announce(web, machine_id, token); /* turned away, and staff hears of it */
        return wrong(web, credentials);
    }
    if (fleet_waiting_count(web->fleet) >= FLEET_WAITING_MAX ||
        !announced_add(web, machine_id, token))
        return MQTT_SERVER_BUSY;
    device_set(identity, machine_id);
    identity->waiting = true;
    return MQTT_SUCCESS;
}

/* ---- who has a token of ours ---- */

static enum mqtt_reason device(struct web *web, const struct broker_credentials *credentials,
                               enum err err, const struct fleet_machine *machine,
                               struct broker_identity *identity)
{
    if (!credentials->has_user || !str_equal(credentials->user, str_from(machine->machine_id)))
        return wrong(web, credentials); /* its user name is its machine id */
    if (err == ERR_REFUSED)
        return MQTT_BANNED;
    device_set(identity, credentials->user);
    identity->waiting = err == ERR_AGAIN;
    if (identity->waiting && !announced_add(web, credentials->user, STR_NONE))
        return MQTT_SERVER_BUSY;
    return MQTT_SUCCESS;
}

static enum mqtt_reason person(const struct access_caller *caller, struct broker_identity *identity)
{
    if (caller->role != ACCESS_STAFF && caller->role != ACCESS_ADMIN)
        return MQTT_NOT_AUTHORIZED;
    identity->role = caller->role == ACCESS_ADMIN ? BUS_ADMIN : BUS_STAFF;
    identity->credential_id = web_credential_of_token(caller->credential_id);
    actor_set(identity, caller->actor, "");
    return MQTT_SUCCESS;
}

static enum mqtt_reason authenticate(void *cookie, const struct broker_credentials *credentials,
                                     struct broker_identity *ret_identity)
{
    struct web *web = ((struct web_door *)cookie)->web;
    const struct fleet_machine *machine = NULL;
    struct access_caller caller;
    *ret_identity = (struct broker_identity){.role = BUS_NOBODY};
    if (web == NULL || web->stopping)
        return MQTT_SERVER_UNAVAILABLE;
    if (!credentials->has_password || credentials->password.len == 0) {
        if (!web->options.open)
            return wrong(web, credentials);
        ret_identity->role = BUS_OPEN;
        actor_set(ret_identity, "open", "");
        return MQTT_SUCCESS;
    }
    enum err err = fleet_authenticate(web->fleet, credentials->password, web_now_ms(web), &machine,
                                      &ret_identity->credential_id);
    if (err == ERR_OK || err == ERR_AGAIN || err == ERR_REFUSED)
        return device(web, credentials, err, machine, ret_identity);
    if (access_token_find(web->access, credentials->password, web_now_ms(web), &caller) == ERR_OK)
        return person(&caller, ret_identity);
    return credentials->has_user ? announcement(web, credentials, ret_identity)
                                 : wrong(web, credentials);
}

static void presence(void *cookie, struct str machine_id, bool opened, bool closed, bool seen)
{
    struct web *web = ((struct web_door *)cookie)->web;
    if (web == NULL)
        return;
    int64_t now_ms = web_now_ms(web), mono_ms = web_mono_ms(web);
    if (opened)
        fleet_presence_connect(web->fleet, machine_id, now_ms, mono_ms);
    else if (closed)
        fleet_presence_disconnect(web->fleet, machine_id, now_ms, mono_ms);
    else if (seen)
        fleet_presence_seen(web->fleet, machine_id, now_ms, mono_ms);
    if (closed)
        web_road_gone(web, machine_id);
}

static void subscribed(void *cookie, const struct bus_from *from, struct str filter)
{
    struct web *web = ((struct web_door *)cookie)->web;
    if (web != NULL)
        web_road_subscribed(web, from, filter);
}

struct broker_gate web_mqtt_gate(struct web_door *door)
{
    return (struct broker_gate){door, authenticate, presence, subscribed};
}
