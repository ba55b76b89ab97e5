// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Takes movable pages off their lists, a pageblock at a time.

#include "alloc/migration.hpp"

namespace memsim::detail {

/// Pages that are moved together.
inline constexpr std::size_t migration_batch = 32;
/// No block of any order is wanted in particular: everything is to be compacted, or a range
/// emptied.
inline constexpr int no_order = -1;

/// How a scan goes about it.
struct scan_settings {
  int order = no_order;  ///< of the block that is wanted
  migration_mode mode = migration_mode::sync;
  migratetype type = migratetype::unmovable;  ///< of the request
  bool contiguous = false;                    ///< a range is to be emptied, not a block made
  bool ignores_hints = false;
  bool direct = false;     ///< on behalf of a request
  bool may_use_fs = true;  ///< pages with a mapping may be taken
};

class migrate_scanner {
 public:
  migrate_scanner(allocator_core& core, context& ctx, zone& z, const scan_settings& how)
      : core_{core}, ctx_{ctx}, z_{z}, how_{how} {}

  /// Whole pageblocks are to be scanned, however much is taken.
  void set_thorough(bool thorough) { thorough_ = thorough; }

  /// Contig A6: until a batch is full.
  /// \return where it stopped
  std::uint64_t scan_range(std::uint64_t first, std::uint64_t last, isolated_pages& taken);
  /// One pageblock or a part of it (contig A7, compaction A6).
  /// \return where it stopped
  std::uint64_t scan_block(std::uint64_t first, std::uint64_t last, isolated_pages& taken);
  /// Compaction will not look at pageblocks before this one again (A6.4).
  void advance_cache(std::uint64_t position);

  /// Whether a scan that comes in by this page looks at the pageblock's skip hint (A6.1, B4).
  [[nodiscard]] bool looks_at_hint(std::uint64_t frame) const;

 private:
  struct progress;
  /// What came of looking at a page.
  enum class sight : unsigned char { taken, unmovable, ends_scan, ends_block };

  [[nodiscard]] sight look_at(frame_index frame, frame_mark mark, progress& p,
                              isolated_pages& taken);
  [[nodiscard]] sight settle_hint(frame_index frame, progress& p);
  [[nodiscard]] bool moves_large(frame_mark mark) const;
  [[nodiscard]] std::uint64_t skipped_pages(frame_mark mark) const;
  void reach_end(std::uint64_t end, const progress& p, const isolated_pages& taken);

  allocator_core& core_;
  context& ctx_;
  zone& z_;
  scan_settings how_;
  bool thorough_ = false;
};

}  // namespace memsim::detail
