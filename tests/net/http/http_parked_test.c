#include "parking.h"

TEST(five_thousand_parked)
{
    if (!files_enough(5000))
        skip();
    park_many(5000);
}
