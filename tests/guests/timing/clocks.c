#include "tests/guests/timing/timing.h"
bool test_clocks(void) { guest_fail("clocks: not yet"); }
bool test_bench(void) { guest_fail("bench: not yet"); }
