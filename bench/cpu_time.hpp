// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The time that is measured: what this thread had of the CPU, so that other programs on a busy
/// host cost little but their share of its caches.

#include <ctime>

namespace memsim::bench {

/// Since the thread began.
inline double cpu_nanoseconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

}  // namespace memsim::bench
