/* Runs every test; see kit/kit.h. */
#include "kit/kit.h"
#include "lm/lm.h"

#include <stdio.h>
#include <stdlib.h>

static struct kit_test *first;

void kit_register(struct kit_test *test)
{
    test->next = first;
    first = test;
}

void kit_check(bool fact, const char *text, const char *file, int line)
{
    if (fact)
        return;
    (void)fprintf(stderr, "%s:%d: not so: %s\n", file, line, text);
    exit(1);
}

int main(void)
{
    (void)printf("best instruction set: %s\n", lm_isa_name());
    for (const struct kit_test *test = first; test != NULL; test = test->next) {
        int64_t before = mem_live();
        test->body();
        if (mem_live() != before) {
            (void)fprintf(stderr, "%s: %lld blocks left\n", test->name,
                          (long long)(mem_live() - before));
            return 1;
        }
        (void)printf("%s\n", test->name);
    }
    return 0;
}
