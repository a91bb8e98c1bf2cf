/* Sessions, accounts, API tokens. */
#include "web/routes_int.h"

#include <stdio.h>

static uint32_t seconds_up(int64_t ms)
{
    return ms <= 0 ? 1 : (uint32_t)((ms + 999) / 1000);
}

static void reply_too_many(struct web_call *call, int64_t retry_ms)
{
    web_reply_problem(call,
                      &(struct web_problem){.status = 429,
                                            .code = "too_many_attempts",
                                            .detail = "Too many failed attempts; come again later.",
                                            .retry_after_s = seconds_up(retry_ms)});
}

/* ---- sessions ---- */

static void show_account_of(struct json_out *out, struct web *web, int64_t account_id)
{
    const struct access_account *account =
        account_id != 0 ? access_account_find(web->access, account_id) : NULL;
    if (account != NULL)
        show_account(out, "account", account);
    else
        out_null(out, "account");
}

void web_session_show(struct web_call *call)
{
    struct json_out *out = &call->out;
    const struct web_caller *caller = &call->caller;
    out_open(out, NULL, '{');
    show_account_of(out, call->web, caller->kind == WEB_PERSON ? caller->person.account_id : 0);
    out_word(out, "role", caller->kind == WEB_DEVICE ? "device" : access_role_name(caller->role));
    if (caller->kind == WEB_PERSON && caller->person.via == ACCESS_VIA_SESSION)
        out_word(out, "csrf_token", caller->person.csrf);
    out_bool(out, "open", call->web->options.open);
    out_close(out, '}');
    call->quiet = true;
    web_reply_json(call, 200);
}

static void signed_in(void *cookie, enum err err, const struct access_signed_in *signed_in)
{
    struct web_call *call = cookie;
    if (err == ERR_DENIED) {
        web_reply_code(call, 401, "bad_credentials", "This does not match.");
        return;
    }
    if (err != ERR_OK) {
        web_reply_err(call, err);
        return;
    }
    struct json_out *out = &call->out;
    char cookie_text[256];
    struct text text;
    text_init(&text, cookie_text, sizeof(cookie_text));
    access_cookie_set(&text, str_from(signed_in->token), call->tls);
    out_open(out, NULL, '{');
    show_account_of(out, call->web, signed_in->caller.account_id);
    out_word(out, "csrf_token", signed_in->caller.csrf);
    out_close(out, '}');
    if (out->err != ERR_OK) {
        web_reply_err(call, out->err);
        return;
    }
    web_reply(call, &(struct web_reply){
                        200, STR("application/json"), buf_str(&call->answer), {text.at, text.len}});
}

void web_session_open(struct web_call *call)
{
    struct kinds_refusal refusal;
    struct kinds_reader reader;
    struct access_login login = {.name = STR_NONE, .password = STR_NONE};
    web_read_body(call, &reader, &refusal);
    kinds_read_text(&reader, "name", true, ID_BYTES_MAX, &login.name);
    kinds_read_text(&reader, "password", true, 1024, &login.password);
    if (!web_read_end(call, &reader))
        return;
    login.address = str_from(call->peer);
    login.request_id = str_from(call->request_id);
    login.now_ms = web_now_ms(call->web);
    login.mono_ms = web_mono_ms(call->web);
    login.old_session = call->cookie_token;
    int64_t retry_ms = 0;
    enum err err = access_login(call->web->access, &login, &retry_ms, signed_in, call);
    if (err == ERR_REFUSED)
        reply_too_many(call, retry_ms);
    else if (err == ERR_INPUT || err == ERR_DENIED)
        signed_in(call, ERR_DENIED, NULL);
    else if (err != ERR_OK)
        web_reply_err(call, err);
}

void web_session_link(struct web_call *call)
{
    struct kinds_refusal refusal;
    struct kinds_reader reader;
    struct str code = STR_NONE;
    web_read_body(call, &reader, &refusal);
    kinds_read_text(&reader, "code", true, 256, &code);
    if (!web_read_end(call, &reader))
        return;
    enum err err = access_link_use(call->web->access, web_access_by(call), code, signed_in, call);
    if (err == ERR_INPUT || err == ERR_DENIED)
        signed_in(call, ERR_DENIED, NULL);
    else if (err != ERR_OK)
        web_reply_err(call, err);
}

static void signed_out(void *cookie, enum err err)
{
    struct web_call *call = cookie;
    if (err != ERR_OK && err != ERR_NOT_FOUND) {
        web_reply_err(call, err);
        return;
    }
    char cookie_text[256];
    struct text text;
    text_init(&text, cookie_text, sizeof(cookie_text));
    access_cookie_set(&text, STR(""), call->tls);
    web_reply(call, &(struct web_reply){204, STR_NONE, STR_NONE, {text.at, text.len}});
}

void web_session_close(struct web_call *call)
{
    const struct access_caller *person = &call->caller.person;
    if (call->caller.kind != WEB_PERSON || person->via != ACCESS_VIA_SESSION) {
        signed_out(call, ERR_OK);
        return;
    }
    enum err err = access_logout(call->web->access, web_access_by(call), person->credential_id,
                                 signed_out, call);
    if (err != ERR_OK)
        signed_out(call, err);
}

/* ---- accounts ---- */

void web_account_list(struct web_call *call)
{
    struct json_out *out = &call->out;
    out_open(out, NULL, '{');
    out_open(out, "items", '[');
    const struct access_account *account = access_account_next(call->web->access, 0);
    for (; account != NULL; account = access_account_next(call->web->access, account->account_id))
        show_account(out, NULL, account);
    out_close(out, ']');
    out_null(out, "next");
    out_close(out, '}');
    web_reply_json(call, 200);
}

static void answer_account(struct web_call *call, uint16_t status,
                           const struct access_account *account)
{
    out_open(&call->out, NULL, '{');
    show_account(&call->out, "account", account);
    out_close(&call->out, '}');
    web_reply_json(call, status);
}

static void account_err(struct web_call *call, enum err err)
{
    if (err == ERR_CONFLICT)
        web_reply_code(call, 409, "account_exists", "An account has this name already.");
    else if (err == ERR_REFUSED)
        web_reply_code(call, 409, "last_admin", "The last admin cannot be taken away.");
    else if (err == ERR_NOT_FOUND)
        web_reply_code(call, 404, "unknown_account", "There is no such account.");
    else
        web_reply_err(call, err);
}

static void account_added(void *cookie, enum err err, const struct access_account *account)
{
    if (err == ERR_OK)
        answer_account(cookie, 201, account);
    else
        account_err(cookie, err);
}

static void account_changed(void *cookie, enum err err, const struct access_account *account)
{
    if (err == ERR_OK)
        answer_account(cookie, 200, account);
    else
        account_err(cookie, err);
}

static bool role_read(struct kinds_reader *reader, bool required, enum access_role *ret_role)
{
    struct str text = STR_NONE;
    kinds_read_text(reader, "role", required, 16, &text);
    if (text.at == NULL)
        return false;
    if (access_role_parse(text, ret_role) != ERR_OK || *ret_role == ACCESS_GUEST) {
        kinds_read_fault(reader, "bad_value", "role", "A role is customer, staff or admin.");
        return false;
    }
    return true;
}

/* A stable code of access's, and a sentence for it. */
static bool password_good(struct web_call *call, struct str name, struct str password)
{
    const char *fault = access_password_fault(name, password);
    if (fault == NULL)
        return true;
    struct kinds_refusal refusal = {.code = "weak_password", .field = "password"};
    (void)snprintf(refusal.sentence, sizeof(refusal.sentence),
                   "A password has 10 characters or more and is not the name (%s).", fault);
    web_reply_refusal(call, &refusal);
    return false;
}

void web_account_add(struct web_call *call)
{
    struct kinds_refusal refusal;
    struct kinds_reader reader;
    struct str name = STR_NONE, password = STR_NONE;
    enum access_role role = ACCESS_GUEST;
    web_read_body(call, &reader, &refusal);
    kinds_read_text(&reader, "name", true, ID_BYTES_MAX, &name);
    (void)role_read(&reader, true, &role);
    kinds_read_text(&reader, "password", true, 1024, &password);
    if (name.at != NULL && !id_valid(name))
        kinds_read_fault(&reader, "bad_value", "name",
                         "A name has letters, digits, dot, dash and underscore.");
    if (!web_read_end(call, &reader) || !password_good(call, name, password))
        return;
    enum err err = access_account_create(call->web->access, web_access_by(call), name, role,
                                         password, account_added, call);
    if (err != ERR_OK)
        account_err(call, err);
}

static const struct access_account *account_find(struct web_call *call)
{
    const struct access_account *account =
        access_account_find(call->web->access, (int64_t)call->number);
    if (account == NULL)
        account_err(call, ERR_NOT_FOUND);
    return account;
}

void web_account_change(struct web_call *call)
{
    const struct access_account *account = account_find(call);
    if (account == NULL)
        return;
    struct kinds_refusal refusal;
    struct kinds_reader reader;
    enum access_role role = account->role;
    bool disabled = account->disabled;
    web_read_body(call, &reader, &refusal);
    (void)role_read(&reader, false, &role);
    kinds_read_bool(&reader, "disabled", false, &disabled);
    if (!web_read_end(call, &reader))
        return;
    enum err err =
        access_account_change(call->web->access, web_access_by(call), (int64_t)call->number, role,
                              disabled, account_changed, call);
    if (err != ERR_OK)
        account_err(call, err);
}

static void password_set(void *cookie, enum err err, const struct access_account *account)
{
    struct web_call *call = cookie;
    (void)account;
    if (err == ERR_OK)
        web_reply_empty(call, 204);
    else if (err == ERR_DENIED)
        web_reply_code(call, 401, "bad_credentials", "The old password does not match.");
    else
        account_err(call, err);
}

void web_account_password(struct web_call *call)
{
    const struct access_caller *person = &call->caller.person;
    bool own = call->caller.kind == WEB_PERSON && person->account_id == (int64_t)call->number;
    if (!own && !access_allows(call->caller.role, ACCESS_ACCOUNT_MANAGE)) {
        web_reply_code(call, 403, "forbidden", "Only an admin sets somebody else's password.");
        return;
    }
    const struct access_account *account = account_find(call);
    if (account == NULL)
        return;
    struct kinds_refusal refusal;
    struct kinds_reader reader;
    struct access_password_change change = {.account_id = (int64_t)call->number,
                                            .mono_ms = web_mono_ms(call->web),
                                            .old_password = STR_NONE};
    web_read_body(call, &reader, &refusal);
    kinds_read_text(&reader, "password", true, 1024, &change.new_password);
    kinds_read_text(&reader, "old_password", own, 1024, &change.old_password);
    if (!web_read_end(call, &reader) ||
        !password_good(call, str_from(account->name), change.new_password))
        return;
    if (own && person->via == ACCESS_VIA_SESSION)
        change.keep_session_id = person->credential_id;
    int64_t retry_ms = 0;
    enum err err = access_password_set(call->web->access, web_access_by(call), &change, &retry_ms,
                                       password_set, call);
    if (err == ERR_REFUSED)
        reply_too_many(call, retry_ms);
    else if (err != ERR_OK)
        account_err(call, err);
}

/* ---- API tokens ---- */

void web_token_list(struct web_call *call)
{
    struct json_out *out = &call->out;
    out_open(out, NULL, '{');
    out_open(out, "items", '[');
    const struct access_token *token = access_token_next(call->web->access, 0);
    for (; token != NULL; token = access_token_next(call->web->access, token->token_id)) {
        out_open(out, NULL, '{');
        out_i64(out, "token_id", token->token_id);
        out_word(out, "name", token->name);
        out_word(out, "role", access_role_name(token->role));
        out_time(out, "created_at", token->created_at_ms);
        out_time(out, "last_used_at", token->last_used_at_ms);
        out_close(out, '}');
    }
    out_close(out, ']');
    out_null(out, "next");
    out_close(out, '}');
    web_reply_json(call, 200);
}

static void token_made(void *cookie, enum err err, const struct access_token *token,
                       const char *text)
{
    struct web_call *call = cookie;
    if (err != ERR_OK) {
        web_reply_err(call, err);
        return;
    }
    out_open(&call->out, NULL, '{');
    out_i64(&call->out, "token_id", token->token_id);
    out_word(&call->out, "token", text);
    out_close(&call->out, '}');
    web_reply_json(call, 201);
}

void web_token_add(struct web_call *call)
{
    struct kinds_refusal refusal;
    struct kinds_reader reader;
    struct str name = STR_NONE;
    enum access_role role = ACCESS_GUEST;
    web_read_body(call, &reader, &refusal);
    kinds_read_text(&reader, "name", true, ID_BYTES_MAX, &name);
    (void)role_read(&reader, true, &role);
    if (!web_read_end(call, &reader))
        return;
    int64_t account_id = call->caller.kind == WEB_PERSON ? call->caller.person.account_id : 0;
    enum err err = access_token_create(call->web->access, web_access_by(call), name, role,
                                       account_id, token_made, call);
    if (err != ERR_OK)
        web_reply_err(call, err);
}

static void token_revoked(void *cookie, enum err err)
{
    struct web_call *call = cookie;
    if (err == ERR_OK)
        web_reply_empty(call, 204);
    else if (err == ERR_NOT_FOUND)
        web_reply_code(call, 404, "unknown_token", "There is no such token.");
    else
        web_reply_err(call, err);
}

void web_token_revoke(struct web_call *call)
{
    enum err err = access_token_revoke(call->web->access, web_access_by(call),
                                       (int64_t)call->number, token_revoked, call);
    if (err != ERR_OK)
        token_revoked(call, err);
}
