/* The one table of what a role may do.  A row is a permission; every route asks for exactly one. */
#include "access/access.h"

struct right {
    const char *name;
    bool allowed[ACCESS_ROLE_COUNT]; /* guest, customer, staff, admin */
};

/* clang-format off */
static const struct right rights[ACCESS_PERMISSION_COUNT] = {
    /*                                                    guest  cust.  staff  admin */
    [ACCESS_SESSION_USE] = {"session_use",               {true,  true,  true,  true}},
    [ACCESS_KINDS_READ] = {"kinds_read",                 {true,  true,  true,  true}},
    [ACCESS_PASSWORD_OWN] = {"password_own",             {false, true,  true,  true}},
    [ACCESS_MACHINE_READ] = {"machine_read",             {false, true,  true,  true}},
    [ACCESS_MACHINE_MANAGE] = {"machine_manage",         {false, false, true,  true}},
    [ACCESS_MACHINE_TOKEN] = {"machine_token",           {false, false, false, true}},
    [ACCESS_DEVICE_SPEAK] = {"device_speak",             {false, false, false, false}},
    [ACCESS_COMMAND_CREATE] = {"command_create",         {false, true,  true,  true}},
    [ACCESS_COMMAND_READ_OWN] = {"command_read_own",     {false, true,  true,  true}},
    [ACCESS_COMMAND_READ] = {"command_read",             {false, false, true,  true}},
    [ACCESS_COMMAND_CANCEL_OWN] = {"command_cancel_own", {false, true,  true,  true}},
    [ACCESS_COMMAND_CANCEL] = {"command_cancel",         {false, false, true,  true}},
    [ACCESS_COMMAND_APPROVE] = {"command_approve",       {false, false, true,  true}},
    [ACCESS_COMMAND_SETTLE] = {"command_settle",         {false, false, true,  true}},
    [ACCESS_EVENTS_WATCH] = {"events_watch",             {false, true,  true,  true}},
    [ACCESS_EVENTS_WATCH_ALL] = {"events_watch_all",     {false, false, true,  true}},
    [ACCESS_ALERT_READ] = {"alert_read",                 {false, false, true,  true}},
    [ACCESS_ALERT_ACKNOWLEDGE] = {"alert_acknowledge",   {false, false, true,  true}},
    [ACCESS_AUDIT_READ] = {"audit_read",                 {false, false, true,  true}},
    [ACCESS_METRICS_READ] = {"metrics_read",             {false, false, true,  true}},
    [ACCESS_ACCOUNT_MANAGE] = {"account_manage",         {false, false, false, true}},
    [ACCESS_TOKEN_MANAGE] = {"token_manage",             {false, false, false, true}},
    [ACCESS_TELEMETRY_READ] = {"telemetry_read",         {true,  true,  true,  true}},
    [ACCESS_TELEMETRY_MANAGE] = {"telemetry_manage",     {false, false, true,  true}},
    [ACCESS_CLIMATE_READ] = {"climate_read",             {true,  true,  true,  true}},
    [ACCESS_CLIMATE_MANAGE] = {"climate_manage",         {false, false, true,  true}},
    [ACCESS_ASSISTANT_ASK] = {"assistant_ask",           {true,  true,  true,  true}},
    [ACCESS_MODEL_TRAIN] = {"model_train",               {false, false, false, true}},
};
/* clang-format on */

static const char *const role_names[ACCESS_ROLE_COUNT] = {"guest", "customer", "staff", "admin"};

bool access_allows(enum access_role role, enum access_permission permission)
{
    /* A number that came from outside by mistake is nobody's right. */
    if ((unsigned)role >= ACCESS_ROLE_COUNT || (unsigned)permission >= ACCESS_PERMISSION_COUNT)
        return false;
    return rights[permission].allowed[role];
}

const char *access_permission_name(enum access_permission permission)
{
    return (unsigned)permission < ACCESS_PERMISSION_COUNT ? rights[permission].name : "none";
}

const char *access_role_name(enum access_role role)
{
    return (unsigned)role < ACCESS_ROLE_COUNT ? role_names[role] : "none";
}

enum err access_role_parse(struct str text, enum access_role *ret_role)
{
    for (int role = 0; role < ACCESS_ROLE_COUNT; role++) {
        if (str_equal(text, str_from(role_names[role]))) {
            *ret_role = (enum access_role)role;
            return ERR_OK;
        }
    }
    return ERR_INPUT;
}
