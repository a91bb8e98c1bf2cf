/* The NEON kernels: the kernels' own tests, built for AArch64 and run by an emulator.  Where this
 * is such a machine, or compiler and emulator are not installed, there is nothing to do. */
#include "kit/kit.h"

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROOT AUTOMAT_SOURCE_DIR

/* The exit status, -1 when the program could not be run. */
static int run(char *const argv[])
{
    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        execvp(argv[0], argv);
        _exit(127);
    }
    int status = 0;
    if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
        return -1;
    return WEXITSTATUS(status);
}

TEST(neon_kernels_pass_their_tests_on_an_emulated_processor)
{
    char compiler[] = "aarch64-linux-gnu-gcc", emulator[] = "qemu-aarch64", version[] = "--version";
    char *compiler_there[] = {compiler, version, NULL},
         *emulator_there[] = {emulator, version, NULL};
    if (run(compiler_there) != 0 || run(emulator_there) != 0) {
        print_message("skipped: needs gcc-aarch64-linux-gnu, libc6-dev-arm64-cross, qemu-user\n");
        return;
    }
    char program[512];
    (void)snprintf(program, sizeof program, "%s/neon", kit_tempdir());
    static const char *const fixed[] = {"-std=c17",
                                        "-D_GNU_SOURCE",
                                        "-O2",
                                        "-static",
                                        "-DLM_BUILT_NEON=1",
                                        "-I" ROOT "/tests/lm/neon",
                                        "-I" ROOT "/src",
                                        ROOT "/tests/lm/neon/main.c",
                                        ROOT "/tests/lm/kernel_gemm_test.c",
                                        ROOT "/tests/lm/kernel_rows_test.c",
                                        ROOT "/src/lm/kernel/isa.c",
                                        ROOT "/src/lm/kernel/pool.c",
                                        ROOT "/src/lm/kernel/gemm.c",
                                        ROOT "/src/lm/kernel/gemm_plain.c",
                                        ROOT "/src/lm/kernel/gemm_neon.c",
                                        ROOT "/src/lm/kernel/rows.c",
                                        ROOT "/src/lm/kernel/rows_plain.c",
                                        ROOT "/src/lm/kernel/rows_neon.c",
                                        ROOT "/src/sys/mem.c",
                                        ROOT "/src/base/err.c",
                                        ROOT "/src/base/bytes.c",
                                        ROOT "/src/base/str.c",
                                        ROOT "/src/base/rng.c",
                                        ROOT "/src/base/rng_unit.c",
                                        "-lm",
                                        "-lpthread"};
    char *argv[ARRAY_COUNT(fixed) + 4];
    size_t count = 0;
    argv[count++] = compiler;
    for (size_t i = 0; i < ARRAY_COUNT(fixed); i++)
        argv[count++] = (char *)(uintptr_t)fixed[i];
    argv[count++] = (char *)(uintptr_t) "-o";
    argv[count++] = program;
    argv[count] = NULL;
    CHECK_EQ(run(argv), 0);
    char *tests[] = {emulator, program, NULL};
    CHECK_EQ(run(tests), 0);
}
