#include "access/access_int.h"
#include "kit/kit.h"

#include <sodium.h>
#include <string.h>

TEST(secrets_are_long_and_never_the_same)
{
    char one[ACCESS_SECRET_BYTES];
    char two[ACCESS_SECRET_BYTES];
    uint8_t hash_one[SECRET_HASH_BYTES];
    uint8_t hash_two[SECRET_HASH_BYTES];
    CHECK(sodium_init() >= 0);
    CHECK_OK(access_secret_make("at_", one, hash_one));
    CHECK_OK(access_secret_make("at_", two, hash_two));
    CHECK_EQ(strlen(one), 46);
    CHECK_EQ(memcmp(one, "at_", 3), 0);
    CHECK(strcmp(one, two) != 0);
    CHECK(memcmp(hash_one, hash_two, sizeof(hash_one)) != 0);
    access_secret_hash(str_from(one), hash_two);
    CHECK_BYTES(hash_one, hash_two, sizeof(hash_one));
}

TEST(csrf_belongs_to_its_session)
{
    struct access_caller caller = {.via = ACCESS_VIA_SESSION};
    char other[ACCESS_SECRET_BYTES];
    access_secret_csrf(STR("as_one"), caller.csrf);
    access_secret_csrf(STR("as_two"), other);
    CHECK(access_csrf_ok(&caller, str_from(caller.csrf)));
    CHECK(!access_csrf_ok(&caller, str_from(other)));
    CHECK(!access_csrf_ok(&caller, STR_NONE));
    CHECK(!access_csrf_ok(&caller, str_slice(str_from(caller.csrf), 0, 42)));
    CHECK(strstr(caller.csrf, "as_one") == NULL);
    caller.via = ACCESS_VIA_TOKEN;
    CHECK(access_csrf_ok(&caller, STR_NONE)); /* no browser sends that header by itself */
    caller = (struct access_caller){.via = ACCESS_VIA_SESSION};
    CHECK(!access_csrf_ok(&caller, STR_NONE)); /* an empty one never fits */
}

TEST(cookies)
{
    static const struct {
        const char *header;
        const char *value; /* NULL: none */
    } table[] = {
        {"automat_session=as_x", "as_x"},
        {"a=b; automat_session=as_x; c=d", "as_x"},
        {"a=b;automat_session=as_x", "as_x"},
        {"  automat_session=as_x\t", "as_x"},
        {"automat_session=", ""},
        {"automat_session=a=b", "a=b"},
        {"Automat_session=as_x", NULL},
        {"xautomat_session=as_x", NULL},
        {"automat_session", NULL},
        {"automat_session=a; automat_session=b", NULL},
        {"automat_session=a; automat_session=a", NULL},
        {"", NULL},
        {";;;=;", NULL},
    };
    for (size_t i = 0; i < ARRAY_COUNT(table); i++) {
        NOTE("%s", table[i].header);
        size_t len = strlen(table[i].header);
        char *header = kit_guard_page(table[i].header, len);
        struct str found = access_cookie_find((struct str){header, len});
        CHECK_EQ(found.at != NULL, table[i].value != NULL);
        if (table[i].value != NULL)
            CHECK_SLICE(found, table[i].value);
    }
}

TEST(cookie_attributes)
{
    char storage[256];
    struct text text;
    text_init(&text, storage, sizeof(storage));
    access_cookie_set(&text, STR("as_x"), true);
    CHECK_STR(storage,
              "automat_session=as_x; Path=/; HttpOnly; SameSite=Strict; Max-Age=604800; Secure");
    text_init(&text, storage, sizeof(storage));
    access_cookie_set(&text, STR_NONE, false);
    CHECK_STR(storage, "automat_session=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0");
}

TEST(origins)
{
    struct str host = STR("cafe.example:8000");
    CHECK(access_origin_ok(STR_NONE, host));
    CHECK(access_origin_ok(STR("http://cafe.example:8000"), host));
    CHECK(access_origin_ok(STR("https://CAFE.example:8000"), host));
    CHECK(!access_origin_ok(STR("http://cafe.example"), host));
    CHECK(!access_origin_ok(STR("http://cafe.example:80"), host));
    CHECK(!access_origin_ok(STR("http://evil.example:8000"), host));
    CHECK(!access_origin_ok(STR("http://cafe.example:8000.evil.example"), host));
    CHECK(!access_origin_ok(STR("null"), host));
    CHECK(!access_origin_ok(STR("ftp://cafe.example:8000"), host));
    CHECK(!access_origin_ok(STR("http://"), STR_NONE));
}

TEST(password_policy)
{
    static char long_one[258];
    memset(long_one, 'a', sizeof(long_one) - 1);
    CHECK_STR(access_password_fault(STR("alice"), STR("123456789")), "password_too_short");
    CHECK(access_password_fault(STR("alice"), STR("1234567890")) == NULL);
    /* nine characters in more than ten bytes are nine */
    CHECK_STR(access_password_fault(STR("alice"), STR("äöüäöüäöü")), "password_too_short");
    CHECK_STR(access_password_fault(STR("alice"), str_from(long_one)), "password_too_long");
    CHECK(access_password_fault(STR("alice"), str_slice(str_from(long_one), 0, 256)) == NULL);
    CHECK_STR(access_password_fault(STR("alice"), STR("12345678\xff\xfe")), "password_not_utf8");
    CHECK_STR(access_password_fault(STR("alice.cooper"), STR("Alice.Cooper")), "password_is_name");
}
