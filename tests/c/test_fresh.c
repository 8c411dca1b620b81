// The count of fresh numbers on simulated flash: power cut at every operation, torn in every way; worn and random flash.
#include "check.h"
#include "flash_sim.h"

#include "../../targets/common/fresh_count.c"

enum { SECTOR = 64 };

static flash_t flash;

static uint32_t next(void) {
    uint8_t bytes[16];
    memset(bytes, 0xA5, sizeof bytes);
    if (fresh_count(&flash.port, bytes)) {
        for (int k = 0; k < 16; k++) CHECK(bytes[k] == 0xA5);
        return 0;
    }
    for (int k = 4; k < 16; k++) CHECK(bytes[k] == 0);
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static void counts_from_one(uint32_t unit) {
    flash_new(&flash, 2, SECTOR, unit, 1);
    for (uint32_t k = 1; k <= 200; k++) CHECK(next() == k);
    CHECK(flash.erases[0] > 5 && flash.erases[1] > 5);
    CHECK(flash.erases[0] <= flash.erases[1] && flash.erases[1] <= flash.erases[0] + 1);
}

// Two cuts, the second at any operation after the first; what is given rises strictly, and goes on when power stays.
static void rises_through_cuts(uint32_t unit, enum torn torn) {
    for (int first = 0; first < 60; first++)
        for (int second = 0; second < 6; second++) {
            flash_new(&flash, 2, SECTOR, unit, (uint32_t)(first * 7 + second));
            flash.torn = torn;
            uint32_t given = 0;
            for (int cut = 0; cut < 2; cut++) {
                power_on(&flash);
                flash.cut_at = cut ? second : first;
                for (uint32_t number; (number = next()) != 0; given = number) CHECK(number > given);
                CHECK(flash.off);
            }
            power_on(&flash);
            for (int k = 0; k < 30; k++) {
                const uint32_t number = next();
                CHECK(number > given);
                given = number;
            }
        }
}

static void a_worn_sector_gives_nothing_twice(uint32_t unit, int fault) {
    for (uint32_t bad = 0; bad < 2; bad++) {
        flash_new(&flash, 2, SECTOR, unit, 1);
        uint32_t given = 0, refused = 0;
        for (int k = 0; k < 100; k++) {
            if (k == 20) {
                flash.bad = bad;
                flash.program_fails = fault == 0;
                flash.erase_fails = fault == 1;
                flash.program_lies = fault == 2;
            }
            const uint32_t number = next();
            CHECK(number == 0 || number > given);
            if (number) given = number;
            refused += number == 0;
        }
        CHECK(given >= 20);
        CHECK(fault == 2 ? refused == 0 : refused > 0);
    }
}

static void any_bytes_do_no_harm(uint32_t unit) {
    for (uint32_t seed = 0; seed < 500; seed++) {
        flash_new(&flash, 2, SECTOR, unit, seed);
        for (uint32_t k = 0; k < 2 * SECTOR; k++)
            if (draw(&flash) % 3 == 0) flash.bytes[k] = (uint8_t)draw(&flash);
        uint32_t given = 0;
        for (int k = 0; k < 20; k++) {
            const uint32_t number = next();
            CHECK(number > given);
            given = number;
        }
    }
}

static void the_last_number_is_the_last(void) {
    flash_new(&flash, 2, SECTOR, 8, 1);
    place_t place;
    fill(&place, UINT32_MAX - 1);
    memcpy(flash.bytes, place.bytes, 8);
    CHECK(next() == UINT32_MAX);
    CHECK(next() == 0);
    CHECK(next() == 0);
}

int main(void) {
    for (uint32_t unit = 1; unit <= 32; unit *= 2) {
        counts_from_one(unit);
        for (int torn = 0; torn < TORN; torn++) rises_through_cuts(unit, (enum torn)torn);
        for (int fault = 0; fault < 3; fault++) a_worn_sector_gives_nothing_twice(unit, fault);
        any_bytes_do_no_harm(unit);
    }
    the_last_number_is_the_last();
    return 0;
}
