#include "twin/twin_int.h"

#include <string.h>

#define LINK_LOSS_ONCE 8 /* exchanges */

static bool take_end(struct str *text, struct str end)
{
    if (text->len < end.len || !str_equal(str_slice(*text, text->len - end.len, text->len), end))
        return false;
    text->len -= end.len;
    return true;
}

enum err twin_faults_add(struct twin_faults *faults, const struct twin_kind *kind, struct str text,
                         uint32_t *physics_bits)
{
    struct str reboot_at = STR("reboot_at=");
    bool once = take_end(&text, STR(":once"));
    struct twin_fault fault = {.on = true, .once = once};
    uint32_t bit = kind->fault_from(text);
    if (bit != 0) {
        *physics_bits |= bit;
        faults->physics_once |= once ? bit : 0;
        return ERR_OK;
    }
    if (str_starts(text, reboot_at)) {
        struct str step = str_slice(text, reboot_at.len, text.len);
        faults->reboot = fault;
        for (unsigned i = 0; kind->step_at(i) != NULL; i++) {
            if (str_equal(step, str_from(kind->step_at(i))))
                return str_copy(faults->reboot_at, sizeof(faults->reboot_at), step);
        }
        return ERR_INPUT;
    }
    if (str_equal(text, STR("journal_lost"))) {
        fault.once = true;
        faults->journal_lost = fault;
        return ERR_OK;
    }
    if (str_equal(text, STR("link_loss"))) {
        faults->link_loss = fault;
        return ERR_OK;
    }
    return ERR_INPUT;
}

enum twin_loss twin_faults_draw(struct twin_faults *faults, struct rng *rng)
{
    if (!faults->link_loss.on)
        return TWIN_LOSS_NONE;
    if (++faults->exchanges >= LINK_LOSS_ONCE && faults->link_loss.once)
        faults->link_loss.on = false;
    uint32_t draw = rng_below(rng, 3);
    return draw == 0 ? TWIN_LOSS_REQUEST : draw == 1 ? TWIN_LOSS_ANSWER : TWIN_LOSS_NONE;
}
