/* The table of routes against itself and against the rights. */
#include "kit/kit.h"
#include "web/web_int.h"

#include <string.h>

static struct web_match match(enum http_method method, const char *path)
{
    struct web_match found;
    web_route_match(method, str_from(path), &found);
    return found;
}

TEST(no_row_stands_twice_and_each_can_be_reached)
{
    struct web_route_row row, other;
    for (size_t i = 0; web_route_row(i, &row); i++) {
        for (size_t j = 0; j < i; j++) {
            CHECK(web_route_row(j, &other));
            NOTE("%s %s", row.method, row.pattern);
            CHECK(strcmp(row.pattern, other.pattern) != 0 || strcmp(row.method, other.method) != 0);
        }
        /* The pattern with something in each place leads to this row and no other. */
        char path[128] = "";
        for (const char *at = row.pattern; *at != 0; at++) {
            size_t len = strlen(path);
            if (*at != '{') {
                path[len] = *at;
                path[len + 1] = 0;
                continue;
            }
            (void)strcat(path, at[1] == 'm' ? "m-1" : "17");
            at = strchr(at, '}');
        }
        const struct web_route *route = &web_routes[i];
        struct web_match found = match(route->method, path);
        NOTE("%s", path);
        CHECK(found.route == route);
        CHECK_EQ(route->quick != NULL, route->handle == NULL);
    }
}

TEST(only_boards_may_speak_for_machines)
{
    static const char *const boards[] = {
        "/api/commands/check/{machine}",    "/api/commands/update/{number}",
        "/api/commands/progress/{number}",  "/api/machines/{machine}/hello",
        "/api/machines/{machine}/progress", "/api/machines/{machine}/readings",
    };
    struct web_route_row row;
    size_t count = 0;
    for (size_t i = 0; web_route_row(i, &row); i++) {
        bool board = false;
        for (size_t j = 0; j < ARRAY_COUNT(boards); j++)
            board = board || strcmp(boards[j], row.pattern) == 0;
        NOTE("%s", row.pattern);
        CHECK_EQ(row.device, board);
        count += board ? 1 : 0;
        for (int role = 0; role < ACCESS_ROLE_COUNT; role++)
            CHECK(!board || !access_allows((enum access_role)role, row.permission));
    }
    CHECK_EQ(count, ARRAY_COUNT(boards));
}

/* A guest reaches what says nothing about anybody, and nothing that changes anything but the way to
 * sign in. */
/* A question is posted, and changes nothing. */
static bool only_asks(const struct web_route_row *row)
{
    static const char *const questions[] = {"/api/generate", "/api/chat", "/api/summarize",
                                            "/api/classify", "/v1/chat/completions"};
    for (size_t i = 0; i < ARRAY_COUNT(questions); i++) {
        if (strcmp(questions[i], row->pattern) == 0)
            return row->permission == ACCESS_ASSISTANT_ASK && strcmp(row->method, "POST") == 0;
    }
    return false;
}

TEST(a_guest_reaches_little)
{
    struct web_route_row row;
    for (size_t i = 0; web_route_row(i, &row); i++) {
        if (!access_allows(ACCESS_GUEST, row.permission))
            continue;
        NOTE("%s %s", row.method, row.pattern);
        CHECK(strcmp(row.method, "GET") == 0 || only_asks(&row) ||
              str_starts(str_from(row.pattern), STR("/api/session")));
        CHECK(!str_starts(str_from(row.pattern), STR("/api/machines")));
        CHECK(!str_starts(str_from(row.pattern), STR("/api/commands")));
    }
}

/* Whoever changes what a machine may do, or who may do it, is staff or admin. */
TEST(customers_change_nothing_of_others)
{
    struct web_route_row row;
    for (size_t i = 0; web_route_row(i, &row); i++) {
        if (strcmp(row.method, "GET") == 0 || !access_allows(ACCESS_CUSTOMER, row.permission))
            continue;
        NOTE("%s %s", row.method, row.pattern);
        bool own = row.permission == ACCESS_COMMAND_CREATE ||
                   row.permission == ACCESS_COMMAND_CANCEL_OWN ||
                   row.permission == ACCESS_PASSWORD_OWN || row.permission == ACCESS_SESSION_USE;
        CHECK(own || only_asks(&row));
    }
}

TEST(paths)
{
    CHECK(match(HTTP_GET, "/api/machines").route != NULL);
    CHECK(match(HTTP_HEAD, "/api/machines").route != NULL);
    CHECK(match(HTTP_GET, "/api/machines/").route == NULL);
    CHECK(match(HTTP_GET, "/api/machines//").route == NULL);
    CHECK(match(HTTP_GET, "/api/machinesx").route == NULL);
    CHECK(match(HTTP_GET, "/api").route == NULL);
    CHECK(match(HTTP_GET, "").route == NULL);
    CHECK(match(HTTP_DELETE, "/api/machines").path_known);
    CHECK(!match(HTTP_DELETE, "/api/nothing").path_known);
    struct web_match found = match(HTTP_GET, "/api/commands/check/espresso-1");
    CHECK_SLICE(found.machine_id, "espresso-1");
    CHECK(match(HTTP_GET, "/api/commands/check/.hidden").argument_bad);
    CHECK(match(HTTP_GET, "/api/commands/check/a%20b").argument_bad);
    CHECK_EQ(match(HTTP_GET, "/api/commands/42").number, 42);
    static const char *const bad[] = {"/api/commands/0",
                                      "/api/commands/-1",
                                      "/api/commands/1.0",
                                      "/api/commands/0x10",
                                      "/api/commands/9007199254740992",
                                      "/api/commands/99999999999999999999999"};
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        NOTE("%s", bad[i]);
        CHECK(match(HTTP_GET, bad[i]).route == NULL);
        CHECK(match(HTTP_GET, bad[i]).argument_bad);
    }
    CHECK_EQ(match(HTTP_GET, "/api/commands/9007199254740991").number, 9007199254740991);
    /* "create" is no number, but a path of its own. */
    found = match(HTTP_GET, "/api/commands/create");
    CHECK(found.route == NULL && found.path_known);
}

TEST(what_a_path_takes)
{
    char allow[80];
    web_route_allow(STR("/api/session"), allow, sizeof(allow));
    CHECK_STR(allow, "GET, HEAD, POST, DELETE, OPTIONS");
    web_route_allow(STR("/api/commands/create"), allow, sizeof(allow));
    CHECK_STR(allow, "POST, OPTIONS");
    web_route_allow(STR("/nothing"), allow, sizeof(allow));
    CHECK_STR(allow, "OPTIONS");
}

TEST(parameters_are_known_and_come_once)
{
    const struct web_route *list = match(HTTP_GET, "/api/commands").route;
    char name[WEB_PARAMETER_BYTES];
    CHECK(web_route_query(list, STR(""), name));
    CHECK(web_route_query(list, STR("state=held&limit=5&cursor=9"), name));
    CHECK(!web_route_query(list, STR("limit=5&limit=6"), name));
    CHECK_STR(name, "limit");
    CHECK(!web_route_query(list, STR("stat=held"), name));
    CHECK_STR(name, "stat");
    CHECK(!web_route_query(list, STR("=1"), name));
    CHECK(!web_route_query(
        list, STR("a_parameter_with_a_name_that_is_longer_than_anything_we_have=1"), name));
    CHECK_EQ(strlen(name), WEB_PARAMETER_BYTES - 1);
    const struct web_route *show = match(HTTP_GET, "/api/commands/1").route;
    CHECK(!web_route_query(show, STR("limit=5"), name));
}
