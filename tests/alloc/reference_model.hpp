// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// A page allocator that is slow and plainly right: what the fast one is compared with.
///
/// Its rules are those of docs/linux-rules/page-alloc.md, by their numbers. Where that page leaves
/// a reading open, the one taken is said at the place.

#include <optional>
#include <vector>

#include <memsim/alloc/allocator_state.hpp>
#include <memsim/alloc/gfp.hpp>
#include <memsim/alloc/kernel_profile.hpp>
#include <memsim/alloc/observer.hpp>
#include <memsim/alloc/tuning.hpp>
#include <memsim/core/types.hpp>

#include "alloc/reference_zone.hpp"

namespace memsim::reference {

/// Copying forks. Requests must be good ones: nothing is checked.
class reference_model {
 public:
  /// \param profile  linux_6_1 or linux_6_12
  reference_model(const allocator_state& state, const kernel_profile& profile,
                  const tuning& settings = {});

  [[nodiscard]] std::optional<pfn> alloc(gfp flags, order size, cpu_id cpu);
  void free(pfn block, order size, cpu_id cpu);
  /// \param owner  whose pages are given back
  /// \param actor  who does it, and whose pending differences take up the changes
  void drain(cpu_id owner, cpu_id actor);
  void adopt(pfn block, order size) { zone_of(block).adopt(block, size.value()); }
  void split(pfn block, order from, order to) {
    zone_of(block).split(block, from.value(), to.value());
  }
  void set_movable(pfn frame, bool movable);

  [[nodiscard]] allocator_state state() const;
  /// The fallbacks of the last alloc().
  [[nodiscard]] const std::vector<fallback_event>& fallbacks() const { return log_; }

 private:
  [[nodiscard]] std::optional<pfn> try_once(const attempt&, unsigned cpu);
  [[nodiscard]] std::optional<pfn> walk(const attempt&, unsigned cpu);
  [[nodiscard]] zone_model& zone_of(pfn frame);

  std::vector<zone_model> zones_;
  std::optional<memory_map> memory_;
  std::vector<cma_area> cma_areas_;
  std::vector<fallback_event> log_;
};

}  // namespace memsim::reference
