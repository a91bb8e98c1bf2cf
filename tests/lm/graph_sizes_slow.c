/* The three models whole, with all 30,000 ids, against numbers of the reference. */
#include "lm/graph_compare.h"

TEST(graph_tanka_is_the_reference)
{
    compare_case("tanka", 2);
}

TEST(graph_villanelle_is_the_reference)
{
    compare_case("villanelle", 2);
}

TEST(graph_ode_is_the_reference)
{
    compare_case("ode", 2);
}
