/* The three models whole, decoded with a cache, against numbers of the reference. */
#include "lm/run_kit.h"

TEST(run_tanka_is_the_reference)
{
    session_case("tanka");
}

TEST(run_villanelle_is_the_reference)
{
    session_case("villanelle");
}

TEST(run_ode_is_the_reference)
{
    session_case("ode");
}
