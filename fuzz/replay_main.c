/* Runs a fuzz target without a fuzzer, as a plain test: every file of the corpus folder, every
 * prefix of each, and byte mutations from a fixed seed.  Each input lies in a block of exactly its
 * size, so that the sanitizers see a read of one byte too many. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INPUT_BYTES_MAX     ((size_t)1024 * 1024)
#define PREFIXES_MAX        2000
#define MUTATIONS_EACH_FILE 400

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t seed = 0x9e3779b97f4a7c15u;
static unsigned long runs;

static uint32_t draw(uint32_t bound)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)((seed >> 16) % bound);
}

static void run_copy(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size != 0 ? size : 1);
    if (copy == NULL)
        abort();
    if (size != 0)
        memcpy(copy, data, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
    runs++;
}

static void mutate_once(uint8_t *data, size_t *size, size_t cap)
{
    static const uint8_t telling[] = {0, 1, 9, 10, 13, 32, ':', '/', '%', 0x7e, 0x7f, 0x80, 0xff};
    size_t at = draw((uint32_t)*size);
    switch (draw(5)) {
    case 0:
        data[at] = (uint8_t)draw(256);
        break;
    case 1:
        data[at] = telling[draw(sizeof(telling))];
        break;
    case 2:
        data[at] ^= (uint8_t)(1u << draw(8));
        break;
    case 3: /* drop a byte */
        if (*size > 1) {
            memmove(data + at, data + at + 1, *size - at - 1);
            (*size)--;
        }
        break;
    default: /* repeat a byte */
        if (*size < cap) {
            memmove(data + at + 1, data + at, *size - at);
            (*size)++;
        }
        break;
    }
}

static void run_mutations(const uint8_t *data, size_t size)
{
    size_t cap = size + 8;
    uint8_t *work = malloc(cap);
    if (work == NULL)
        abort();
    for (int i = 0; i < MUTATIONS_EACH_FILE && size != 0; i++) {
        size_t now = size;
        memcpy(work, data, size);
        for (uint32_t n = 1 + draw(4); n > 0; n--)
            mutate_once(work, &now, cap);
        run_copy(work, now);
    }
    free(work);
}

static int run_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return 1;
    uint8_t *data = malloc(INPUT_BYTES_MAX);
    if (data == NULL)
        abort();
    size_t size = fread(data, 1, INPUT_BYTES_MAX, file);
    fclose(file);
    size_t step = 1 + size / PREFIXES_MAX;
    for (size_t prefix = 0; prefix < size; prefix += step)
        run_copy(data, prefix);
    run_copy(data, size);
    run_mutations(data, size);
    free(data);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s CORPUS_FOLDER\n", argv[0]);
        return 2;
    }
    DIR *dir = opendir(argv[1]);
    if (dir == NULL) {
        perror(argv[1]);
        return 1;
    }
    int failed = 0;
    unsigned files = 0;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        char path[4096];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), "%s/%s", argv[1], entry->d_name);
        failed |= run_file(path);
        files++;
    }
    closedir(dir);
    printf("%u files, %lu inputs\n", files, runs);
    return failed != 0 || files == 0; /* an empty corpus proves nothing */
}
