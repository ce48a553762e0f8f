// The way from a charging event down to the crash.
#pragma once

namespace chain {

// Lets one power meter event run through state machine, message bus and billing, and calls
// `crash` at the far end of it.
void charge_until(void (*crash)());

} // namespace chain
