// A fiber that runs into its guard page is reported by name before the process ends.
#pragma once

#include <cstddef>

namespace heddle {

void install_overflow_handler() noexcept;

// For system calls that were given a buffer on a guard page: the kernel answers EFAULT and sends
// no signal. Reports and ends the process as a fault there would have, if the buffer touches one.
void check_fault_address(const void* buffer, size_t bytes) noexcept;

}  // namespace heddle
