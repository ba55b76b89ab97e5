// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// What is said of a process when it is made; a fork of it says the same.

#include <cstdint>

#include <memsim/core/types.hpp>

namespace memsim {

class memory_group;

/// RLIMIT_MEMLOCK where nobody has set it: 8 MiB.
inline constexpr frame_count default_memlock_limit = 2048;

struct process_config {
  memory_group* group = nullptr;  ///< that its pages are charged to; nullptr: to nobody
  std::uint32_t user = 0;         ///< uid; 0: root, which is no exemption from anything here
  int score_adjustment = 0;       ///< for OOM killers, -1000 to 1000
  frame_count memlock_limit = default_memlock_limit;  ///< RLIMIT_MEMLOCK
  bool ipc_lock = false;  ///< CAP_IPC_LOCK: RLIMIT_MEMLOCK is not enforced
};

}  // namespace memsim
