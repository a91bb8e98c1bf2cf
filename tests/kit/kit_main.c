/* Apart from kit.c: a program with a main of its own (a fuzz target that replays its corpus) takes
 * only the checks. */
#include "kit/kit.h"

int main(int argc, char **argv)
{
    return kit_run_all(argc > 1 ? argv[1] : NULL) == 0 ? 0 : 1;
}
