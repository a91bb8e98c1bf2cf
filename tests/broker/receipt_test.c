/* What was already taken from a session. */
#include "kit/kit.h"

#include "broker/broker_int.h"

static uint64_t key(uint16_t packet_id, const char *payload)
{
    struct mqtt_publish publish = {
        .topic = STR("t"), .payload = str_from(payload), .packet_id = packet_id};
    return broker_receipt_key(&publish);
}

static void take(struct session *session, uint16_t packet_id, const char *payload)
{
    uint64_t number;
    CHECK_OK(broker_receipt_next(session, &number));
    broker_receipt_remember(session, number, key(packet_id, payload));
}

TEST(the_newest_use_of_an_id_counts)
{
    struct session session = {0};
    CHECK_EQ(broker_receipt_find(&session, key(1, "a")), RECEIPT_NEW);
    take(&session, 1, "a");
    take(&session, 2, "a");
    CHECK_EQ(broker_receipt_find(&session, key(1, "a")), RECEIPT_KNOWN);
    CHECK_EQ(broker_receipt_find(&session, key(1, "b")), RECEIPT_NEW);
    take(&session, 1, "b");
    CHECK_EQ(broker_receipt_find(&session, key(1, "a")), RECEIPT_NEW);
    CHECK_EQ(broker_receipt_find(&session, key(1, "b")), RECEIPT_KNOWN);
    broker_receipt_forget(&session, 1);
    CHECK_EQ(broker_receipt_find(&session, key(1, "b")), RECEIPT_NEW);
    CHECK_EQ(broker_receipt_find(&session, key(2, "a")), RECEIPT_KNOWN);
    broker_receipt_unsure(&session);
    CHECK_EQ(broker_receipt_find(&session, key(2, "a")), RECEIPT_UNSURE);
    take(&session, 3, "c");
    CHECK_EQ(broker_receipt_find(&session, key(3, "c")), RECEIPT_KNOWN);
    mem_free(session.receipts);
}

TEST(the_ring_grows_and_goes_round)
{
    struct session session = {0};
    for (uint32_t i = 1; i <= 3 * BROKER_RECEIPTS; i++) {
        take(&session, (uint16_t)(i % 60000 + 1), "x");
        uint32_t back = i < BROKER_RECEIPTS ? i : BROKER_RECEIPTS;
        CHECK_EQ(broker_receipt_find(&session, key((uint16_t)((i - back + 1) % 60000 + 1), "x")),
                 RECEIPT_KNOWN);
        if (i > back)
            CHECK_EQ(broker_receipt_find(&session, key((uint16_t)((i - back) % 60000 + 1), "x")),
                     RECEIPT_NEW);
    }
    CHECK_EQ(session.receipts->cap, BROKER_RECEIPTS);
    mem_free(session.receipts);
}

TEST(what_was_stored_comes_back_with_its_gaps)
{
    struct session session = {0};
    for (uint64_t number = 100000; number < 100300; number += 3)
        CHECK_OK(broker_receipt_restore(&session, number, key((uint16_t)(number % 1000 + 1), "x")));
    CHECK_EQ(session.receipts->number, 100298);
    for (uint16_t i = 0; i < 300; i++)
        CHECK_EQ(broker_receipt_find(&session, key((uint16_t)(i + 1), "x")),
                 i % 3 == 0 ? RECEIPT_KNOWN : RECEIPT_NEW);
    mem_free(session.receipts);
}

TEST(a_far_jump_leaves_nothing_old)
{
    struct session session = {0};
    for (uint64_t number = 1; number <= 64; number++)
        CHECK_OK(broker_receipt_restore(&session, number, key((uint16_t)number, "x")));
    CHECK_OK(broker_receipt_restore(&session, 1000000, key(500, "x")));
    CHECK_EQ(broker_receipt_find(&session, key(500, "x")), RECEIPT_KNOWN);
    CHECK_EQ(broker_receipt_find(&session, key(1, "x")), RECEIPT_NEW);
    mem_free(session.receipts);
}

TEST(qos_2_ids_are_kept_until_released)
{
    struct session session = {0};
    for (uint16_t id = 1; id <= BROKER_RECEIVED_MAX; id++)
        CHECK_OK(broker_received_add(&session, id));
    CHECK_ERR(broker_received_add(&session, 9999), ERR_FULL);
    CHECK((broker_received_find(&session, 77) != RECEIPT_NEW));
    CHECK(broker_received_end(&session, 77));
    CHECK(!broker_received_end(&session, 77));
    CHECK(!(broker_received_find(&session, 77) != RECEIPT_NEW));
    CHECK_OK(broker_received_add(&session, 9999));
    mem_free(session.received);
}
