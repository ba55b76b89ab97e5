// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// What a machine consists of. The parts refer to each other, so they stay where they are.

#include <deque>

#include <memsim/arch/cost_model.hpp>
#include <memsim/machine.hpp>

namespace memsim {

struct machine::parts {
  explicit parts(const machine_config& how);
  parts(const parts& other);
  parts& operator=(const parts&) = delete;
  ~parts() = default;
  /// Takes up from a state.
  /// \throws usage_error if the configuration is out of range
  [[nodiscard]] static std::expected<std::unique_ptr<parts>, error> restore(
      const machine_config& how, const allocator_state& memory, const direct_map_state& map);

  void make_resources();
  [[nodiscard]] work done(std::size_t cpu) const;

  machine_config config;
  page_allocator memory;
  tlb_system tlbs;
  kernel_tlbs kernel;
  direct_map map;
  std::vector<context> cpus;
  std::vector<cost_meter> meters;  // one a CPU
  simulator sim;
  std::deque<resource> cpu_times;    // one a CPU
  std::deque<resource> cma_mutexes;  // one, or one an area

 private:
  parts(const machine_config& how, page_allocator&& from, const direct_map_state& mapped);
};

}  // namespace memsim
