/* The table of rights, row by row, written down a second time by hand. */
#include "access/access.h"
#include "kit/kit.h"

#include <string.h>

struct row {
    enum access_permission permission;
    const char *name;
    const char *roles; /* g c s a, or - */
};

static const struct row rows[] = {
    {ACCESS_SESSION_USE, "session_use", "gcsa"},
    {ACCESS_KINDS_READ, "kinds_read", "gcsa"},
    {ACCESS_PASSWORD_OWN, "password_own", "-csa"},
    {ACCESS_MACHINE_READ, "machine_read", "-csa"},
    {ACCESS_MACHINE_MANAGE, "machine_manage", "--sa"},
    {ACCESS_MACHINE_TOKEN, "machine_token", "---a"},
    {ACCESS_DEVICE_SPEAK, "device_speak", "----"},
    {ACCESS_COMMAND_CREATE, "command_create", "-csa"},
    {ACCESS_COMMAND_READ_OWN, "command_read_own", "-csa"},
    {ACCESS_COMMAND_READ, "command_read", "--sa"},
    {ACCESS_COMMAND_CANCEL_OWN, "command_cancel_own", "-csa"},
    {ACCESS_COMMAND_CANCEL, "command_cancel", "--sa"},
    {ACCESS_COMMAND_APPROVE, "command_approve", "--sa"},
    {ACCESS_COMMAND_SETTLE, "command_settle", "--sa"},
    {ACCESS_EVENTS_WATCH, "events_watch", "-csa"},
    {ACCESS_EVENTS_WATCH_ALL, "events_watch_all", "--sa"},
    {ACCESS_ALERT_READ, "alert_read", "--sa"},
    {ACCESS_ALERT_ACKNOWLEDGE, "alert_acknowledge", "--sa"},
    {ACCESS_AUDIT_READ, "audit_read", "--sa"},
    {ACCESS_METRICS_READ, "metrics_read", "--sa"},
    {ACCESS_ACCOUNT_MANAGE, "account_manage", "---a"},
    {ACCESS_TOKEN_MANAGE, "token_manage", "---a"},
    {ACCESS_TELEMETRY_READ, "telemetry_read", "gcsa"},
    {ACCESS_TELEMETRY_MANAGE, "telemetry_manage", "--sa"},
    {ACCESS_CLIMATE_READ, "climate_read", "gcsa"},
    {ACCESS_CLIMATE_MANAGE, "climate_manage", "--sa"},
    {ACCESS_ASSISTANT_ASK, "assistant_ask", "gcsa"},
    {ACCESS_MODEL_TRAIN, "model_train", "---a"},
};

TEST(every_row_is_as_written)
{
    CHECK_EQ(ARRAY_COUNT(rows), ACCESS_PERMISSION_COUNT);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        NOTE("%s", rows[i].name);
        CHECK_EQ(rows[i].permission, i);
        CHECK_STR(access_permission_name(rows[i].permission), rows[i].name);
        for (int role = 0; role < ACCESS_ROLE_COUNT; role++)
            CHECK_EQ(access_allows((enum access_role)role, rows[i].permission),
                     rows[i].roles[role] != '-');
    }
}

TEST(more_role_is_never_less_right)
{
    for (int p = 0; p < ACCESS_PERMISSION_COUNT; p++)
        for (int role = 1; role < ACCESS_ROLE_COUNT; role++)
            CHECK(!access_allows((enum access_role)(role - 1), (enum access_permission)p) ||
                  access_allows((enum access_role)role, (enum access_permission)p));
}

TEST(what_is_not_in_the_table_is_nobodys)
{
    CHECK(!access_allows(ACCESS_ROLE_COUNT, ACCESS_SESSION_USE));
    CHECK(!access_allows(ACCESS_ADMIN, ACCESS_PERMISSION_COUNT));
    int below = -1;
    CHECK(!access_allows((enum access_role)below, ACCESS_SESSION_USE));
    CHECK_STR(access_permission_name(ACCESS_PERMISSION_COUNT), "none");
    CHECK_STR(access_role_name(ACCESS_ROLE_COUNT), "none");
}

TEST(roles_have_names)
{
    enum access_role role = ACCESS_GUEST;
    for (int r = 0; r < ACCESS_ROLE_COUNT; r++) {
        CHECK_OK(access_role_parse(str_from(access_role_name((enum access_role)r)), &role));
        CHECK_EQ(role, r);
    }
    CHECK_ERR(access_role_parse(STR("Admin"), &role), ERR_INPUT);
    CHECK_ERR(access_role_parse(STR("adm"), &role), ERR_INPUT);
    CHECK_ERR(access_role_parse(STR_NONE, &role), ERR_INPUT);
}
