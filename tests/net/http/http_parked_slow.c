#include "parking.h"

TEST(fifteen_thousand_parked)
{
    if (!files_enough(15000))
        skip();
    park_many(15000);
}
