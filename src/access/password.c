/* argon2id costs tens of milliseconds and 19 MiB on purpose, so it runs on the pool, two at a time,
 * and few may wait: a flood of sign-ins makes sign-ins fail, not the cafe. */
#include "access/access_int.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>

const char *access_password_fault(struct str name, struct str password)
{
    if (password.len > PASSWORD_BYTES_MAX)
        return "password_too_long";
    if (!utf8_valid(password))
        return "password_not_utf8";
    size_t characters = 0;
    for (size_t i = 0; i < password.len; i++)
        characters += ((uint8_t)password.at[i] & 0xc0) != 0x80;
    if (characters < PASSWORD_CHARS_MIN)
        return "password_too_short";
    if (str_equal_nocase(name, password))
        return "password_is_name";
    return NULL;
}

void *access_hashing_create(struct access *access, size_t bytes,
                            void (*then)(struct hashing *hashing))
{
    ASSERT(bytes >= sizeof(struct hashing));
    struct hashing *hashing = mem_zalloc(bytes);
    if (hashing == NULL)
        return NULL;
    hashing->access = access;
    hashing->then = then;
    hashing->ops = access->options.password_ops;
    hashing->mem_bytes = access->options.password_mem_bytes;
    return hashing;
}

void access_hashing_free(struct hashing *hashing, size_t bytes)
{
    sodium_memzero(hashing, bytes);
    mem_free(hashing);
}

enum err access_hashing_put(char *dst, size_t *ret_len, struct str password)
{
    if (password.len > PASSWORD_BYTES_MAX)
        return ERR_INPUT;
    if (password.len > 0)
        memcpy(dst, password.at, password.len);
    *ret_len = password.len;
    return ERR_OK;
}

static void hashing_run(struct loop_job *job)
{
    struct hashing *hashing = CONTAINER(job, struct hashing, job);
    if (hashing->verify && hashing->stored[0] != '\0') {
        errno = 0;
        hashing->right =
            crypto_pwhash_str_verify(hashing->stored, hashing->old_password, hashing->old_len) == 0;
        if (!hashing->right && errno != EINVAL)
            hashing->err = ERR_NOMEM; /* not "wrong": it could not be told */
    } else if (hashing->verify) {
        char unused[crypto_pwhash_STRBYTES];
        if (crypto_pwhash_str(unused, hashing->old_password, hashing->old_len, hashing->ops,
                              hashing->mem_bytes) != 0)
            hashing->err = ERR_NOMEM;
    }
    if (hashing->make && hashing->err == ERR_OK && (!hashing->verify || hashing->right) &&
        crypto_pwhash_str(hashing->made, hashing->new_password, hashing->new_len, hashing->ops,
                          hashing->mem_bytes) != 0)
        hashing->err = ERR_NOMEM;
    sodium_memzero(hashing->old_password, sizeof(hashing->old_password));
    sodium_memzero(hashing->new_password, sizeof(hashing->new_password));
}

static void start_waiting(struct access *access);

static void hashing_done(struct loop_job *job)
{
    struct hashing *hashing = CONTAINER(job, struct hashing, job);
    struct access *access = hashing->access;
    if (access != NULL) {
        if (hashing->prev != NULL)
            hashing->prev->next = hashing->next;
        else
            access->hash_running = hashing->next;
        if (hashing->next != NULL)
            hashing->next->prev = hashing->prev;
        access->hash_running_count--;
    }
    hashing->then(hashing);
    if (access != NULL)
        start_waiting(access);
}

static enum err start_one(struct access *access, struct hashing *hashing)
{
    hashing->job.run = hashing_run;
    hashing->job.done = hashing_done;
    enum err err = loop_work(access->loop, &hashing->job);
    if (err != ERR_OK)
        return err;
    hashing->prev = NULL;
    hashing->next = access->hash_running;
    if (hashing->next != NULL)
        hashing->next->prev = hashing;
    access->hash_running = hashing;
    access->hash_running_count++;
    return ERR_OK;
}

static void start_waiting(struct access *access)
{
    while (access->hash_waiting != NULL && access->hash_running_count < HASHES_AT_ONCE) {
        struct hashing *hashing = access->hash_waiting;
        access->hash_waiting = hashing->next;
        if (access->hash_waiting == NULL)
            access->hash_waiting_last = NULL;
        access->hash_waiting_count--;
        enum err err = start_one(access, hashing);
        if (err != ERR_OK) {
            hashing->err = err;
            hashing->then(hashing);
        }
    }
}

enum err access_hashing_start(struct hashing *hashing)
{
    struct access *access = hashing->access;
    if (access->hash_running_count < HASHES_AT_ONCE && access->hash_waiting == NULL)
        return start_one(access, hashing);
    if (access->hash_waiting_count >= access->options.login_waiting_max)
        return ERR_FULL;
    hashing->next = NULL;
    if (access->hash_waiting_last != NULL)
        access->hash_waiting_last->next = hashing;
    else
        access->hash_waiting = hashing;
    access->hash_waiting_last = hashing;
    access->hash_waiting_count++;
    return ERR_OK;
}

void access_hashing_abandon(struct access *access)
{
    /* What runs comes back later, and then finds nobody. */
    for (struct hashing *hashing = access->hash_running; hashing != NULL; hashing = hashing->next)
        hashing->access = NULL;
    while (access->hash_waiting != NULL) {
        struct hashing *hashing = access->hash_waiting;
        access->hash_waiting = hashing->next;
        hashing->access = NULL;
        hashing->then(hashing);
    }
}
