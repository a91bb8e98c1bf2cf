#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kit/kit.h"

TEST(write_and_read_back)
{
    const char *path = kit_path(kit_tempdir(), "a.txt");
    struct buf buf;
    struct stat info;
    CHECK(!path_exists(path));
    CHECK_OK(file_write_atomic(path, "first", 5, 0640));
    CHECK(path_exists(path));
    CHECK_OK(file_write_atomic(path, "second\0x", 8, 0640));
    CHECK_OK(file_read(path, 100, &buf));
    CHECK_EQ(buf.len, 8);
    CHECK_BYTES(buf.at, "second\0x", 8);
    buf_finish(&buf);
    CHECK_EQ(stat(path, &info), 0);
    CHECK_EQ(info.st_mode & 0137u, 0);
    CHECK_OK(file_write_atomic(path, "", 0, 0600));
    CHECK_OK(file_read(path, 100, &buf));
    CHECK_EQ(buf.len, 0);
    buf_finish(&buf);
}

TEST(read_has_a_bound_and_names_what_is_wrong)
{
    const char *dir = kit_tempdir();
    const char *path = kit_path(dir, "a.txt");
    struct buf buf;
    static char large[50000];
    memset(large, 'x', sizeof(large));
    CHECK_OK(file_write_atomic(path, large, sizeof(large), 0600));
    CHECK_OK(file_read(path, sizeof(large), &buf));
    CHECK_EQ(buf.len, sizeof(large));
    buf_finish(&buf);
    CHECK_ERR(file_read(path, sizeof(large) - 1, &buf), ERR_FULL);
    CHECK_EQ(buf.len, 0);
    CHECK_ERR(file_read(kit_path(dir, "none"), 10, &buf), ERR_NOT_FOUND);
    CHECK_ERR(file_read(kit_path(path, "below"), 10, &buf), ERR_NOT_FOUND);
    CHECK_ERR(file_read(dir, 10, &buf), ERR_IO);
    mem_fail_at(1);
    CHECK_ERR(file_read(path, sizeof(large), &buf), ERR_NOMEM);
    CHECK_EQ(buf.len, 0);
}

TEST(a_write_that_fails_leaves_the_old_file_and_no_litter)
{
    const char *dir = kit_tempdir();
    const char *path = kit_path(dir, "a");
    struct stat info;
    CHECK_OK(dir_make(path, 0700)); /* a folder in its place: the rename fails */
    CHECK(file_write_atomic(path, "x", 1, 0600) != ERR_OK);
    CHECK_EQ(stat(path, &info), 0);
    CHECK(S_ISDIR(info.st_mode));
    CHECK_EQ(rmdir(path), 0);
    CHECK_EQ(rmdir(dir), 0); /* empty: the temporary file is gone */
    CHECK_ERR(file_write_atomic(kit_path(dir, "gone/file"), "x", 1, 0600), ERR_NOT_FOUND);
}

TEST(folders_with_parents)
{
    const char *dir = kit_tempdir();
    struct stat info;
    CHECK_OK(dir_make(kit_path(dir, "a/b//c/"), 0700));
    CHECK_EQ(stat(kit_path(dir, "a/b/c"), &info), 0);
    CHECK(S_ISDIR(info.st_mode));
    CHECK_OK(dir_make(kit_path(dir, "a/b"), 0700));
    CHECK_OK(file_write_atomic(kit_path(dir, "file"), "x", 1, 0600));
    CHECK_ERR(dir_make(kit_path(dir, "file"), 0700), ERR_CONFLICT);
    CHECK(dir_make(kit_path(dir, "file/below"), 0700) != ERR_OK);
    CHECK_ERR(dir_make("", 0700), ERR_INPUT);
    CHECK_OK(dir_make("/", 0700));
}

TEST(a_lock_has_one_holder)
{
    const char *path = kit_path(kit_tempdir(), "lock");
    struct file_lock first;
    struct file_lock second;
    CHECK_OK(file_lock(path, &first));
    CHECK_ERR(file_lock(path, &second), ERR_CONFLICT);
    file_unlock(&first);
    file_unlock(&first); /* again does nothing */
    CHECK_OK(file_lock(path, &second));
    file_unlock(&second);
    CHECK_ERR(file_lock(kit_path(path, "below"), &first), ERR_NOT_FOUND);
}

TEST(another_process_meets_the_lock_too)
{
    const char *path = kit_path(kit_tempdir(), "lock");
    struct file_lock lock;
    int status = 0;
    CHECK_OK(file_lock(path, &lock));
    for (int held = 1; held >= 0; held--) {
        pid_t child = fork();
        if (child == 0) {
            struct file_lock mine;
            _exit(file_lock(path, &mine) == (held ? ERR_CONFLICT : ERR_OK) ? 0 : 1);
        }
        CHECK_EQ(waitpid(child, &status, 0), child);
        CHECK_EQ(status, 0);
        if (held)
            file_unlock(&lock);
    }
}
