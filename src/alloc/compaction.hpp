// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// A run of compaction over a zone, or over several that share its settings.

#include <array>
#include <deque>

#include "alloc/free_scanner.hpp"
#include "alloc/migrate_scanner.hpp"

namespace memsim::detail {

/// What is asked of a run.
struct compaction_request {
  scan_settings scan{};
  bool whole_zone = false;
  bool any_target_block = false;  ///< free pages are taken from pageblocks of every type
  zone_type highest = zone_type::normal;
  bool may_use_cma = false;             ///< the request that it is for may
  std::optional<unsigned> enough_at{};  ///< proactive: the zone's score at which to stop
};

class compaction_run {
 public:
  compaction_run(allocator_core& core, context& ctx, const compaction_request& how)
      : core_{core}, ctx_{ctx}, how_{how}, search_{.order = how.scan.order} {}

  /// Compaction A3.
  compact_result run(zone& z);

 private:
  struct scanners;
  void set_positions(zone& z, scanners& s);
  compact_result loop(zone& z, scanners& s);
  [[nodiscard]] bool has_captured(capture_check when) const;
  [[nodiscard]] compact_result finished(zone& z, const scanners& s) const;
  [[nodiscard]] bool has_suitable_block(const zone& z) const;
  std::uint64_t choose_block(zone& z, scanners& s);
  bool take_source(zone& z, scanners& s);
  bool is_suitable_source(frame_index block) const;

  allocator_core& core_;
  context& ctx_;
  compaction_request how_;
  free_search search_;
};

}  // namespace memsim::detail
