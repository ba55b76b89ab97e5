// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Who uses a machine in a scenario: processes that come, take memory, use it, and go.

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <memsim/core/types.hpp>
#include <memsim/sim/time.hpp>
#include <memsim/vm/process_config.hpp>
#include <memsim/workload/distribution.hpp>

namespace memsim {

/// What a process maps.
enum class actor_memory : unsigned char {
  anonymous,
  secret,   ///< a file of memfd_secret(), by the design of the policy
  hugetlb,  ///< private memory of huge pages, from the pool of the policy
};
inline constexpr std::array all_actor_memories{actor_memory::anonymous, actor_memory::secret,
                                               actor_memory::hugetlb};

[[nodiscard]] std::string_view name_of(actor_memory);
[[nodiscard]] std::string to_text(actor_memory);

/// In which order pages are used after they have been had.
enum class page_choice : unsigned char {
  sequential,
  uniform,  ///< any page, all alike
  hot,      ///< nine of ten accesses go to a tenth of the pages
};
inline constexpr std::array all_page_choices{page_choice::sequential, page_choice::uniform,
                                             page_choice::hot};

[[nodiscard]] std::string_view name_of(page_choice);
[[nodiscard]] std::string to_text(page_choice);

/// Processes that are alike. Each comes at its time, maps its memory, uses every page once, then
/// goes on using pages, and leaves when its time is over.
struct actor {
  std::string name{};  ///< unique in its scenario
  actor_memory memory = actor_memory::anonymous;
  std::uint64_t processes = 1;
  /// uid; none: each process has one of its own.
  std::optional<std::uint32_t> user{};
  distribution size{};      ///< of a process's mappings, in frames; drawn once for each process
  double used = 1;          ///< the part of each mapping, from its beginning, that is ever used
  bool no_reserve = false;  ///< MAP_NORESERVE: nothing is promised
  /// It maps as much again whenever it has used all it has, until it is refused; and tries again
  /// after `retry`.
  bool greedy = false;
  sim_duration retry = std::chrono::milliseconds{10};
  sim_duration arrival{};                  ///< of the first process
  distribution interval{};                 ///< between two processes, in ns
  std::optional<distribution> lifetime{};  ///< since the arrival, in ns; none: to the end
  page_choice accesses = page_choice::uniform;
  double accesses_per_second = 0;  ///< of a process
  double writes = 0.5;             ///< the part of them that writes
  frame_count memlock_limit = default_memlock_limit;
  bool ipc_lock = false;  ///< CAP_IPC_LOCK

  friend bool operator==(const actor&, const actor&) = default;
};

}  // namespace memsim
