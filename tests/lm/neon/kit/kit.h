/* As much of the test kit as the kernels' tests need, without cmocka: they run on an emulated
 * processor, too, for which there is a compiler but no such library.  main is in ../main.c. */
#ifndef AUTOMAT_TESTS_LM_NEON_KIT_H
#define AUTOMAT_TESTS_LM_NEON_KIT_H

#include <stdint.h>
#include <string.h>

#include "base/base.h"
#include "sys/sys.h"

struct kit_test {
    const char *name;
    void (*body)(void);
    struct kit_test *next;
};
void kit_register(struct kit_test *test);
void kit_check(bool fact, const char *text, const char *file, int line); /* ends the program */

#define TEST(test)                                                                                 \
    static void test(void);                                                                        \
    __attribute__((constructor)) static void kit_register_##test(void)                             \
    {                                                                                              \
        static struct kit_test self = {#test, test, NULL};                                         \
        kit_register(&self);                                                                       \
    }                                                                                              \
    static void test(void)

#define CHECK(fact)               kit_check((fact), #fact, __FILE__, __LINE__)
#define CHECK_EQ(a, b)            kit_check((intmax_t)(a) == (intmax_t)(b), #a " == " #b, __FILE__, __LINE__)
#define CHECK_STR(a, b)           kit_check(strcmp((a), (b)) == 0, #a " is " #b, __FILE__, __LINE__)
#define CHECK_OK(err_)            kit_check((err_) == ERR_OK, #err_, __FILE__, __LINE__)
#define CHECK_ERR(err_, expected) kit_check((err_) == (expected), #err_, __FILE__, __LINE__)

#endif
