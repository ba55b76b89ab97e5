// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Compaction: pages are moved from the start of a zone to free frames at its end until a block of
/// the wanted order is free.
///
/// Two scanners go towards each other. The migrate scanner takes movable pages off, from the zone's
/// start upward; the free scanner takes free pages as their targets, from the zone's end downward.
/// Both remember where they stopped, and which pageblocks had nothing for them. A zone in which it
/// failed is left alone for twice as many requests each time.
///
/// Source: docs/linux-rules/compaction.md, whose rule numbers the code names.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <memsim/alloc/migration.hpp>
#include <memsim/core/types.hpp>
#include <memsim/frames/zones.hpp>

namespace memsim {

/// How a run over a zone ended, or why there was none. In the kernel's order: over several zones
/// the greatest counts.
enum class compact_result : unsigned char {
  not_suitable,      ///< memory is short, not in pieces (only as a suitability)
  skipped,           ///< not tried: too little is free for it, or it would not help
  deferred,          ///< not tried: it failed lately
  no_suitable_page,  ///< as yet
  proceed,           ///< worth trying; still at it
  complete,          ///< the whole zone was scanned in vain
  partial,           ///< the scanners met, having started within the zone, in vain
  contended,         ///< stopped early
  success,           ///< a block of the order is free
};

inline constexpr unsigned compact_results = 9;

[[nodiscard]] std::string_view name_of(compact_result);
[[nodiscard]] std::string to_text(compact_result);

/// How hard a direct compaction tries, least first.
enum class compact_priority : unsigned char {
  async,       ///< pageblocks of the request's own type, no waiting
  sync_light,  ///< any pageblock
  sync_full,   ///< the whole zone, hints ignored, any pageblock as target
};

/// What compaction remembers of a zone. Positions are frame numbers; all zero at boot.
struct compaction_state {
  std::uint64_t migrate_async = 0;  ///< where the migrate scanner goes on, in async mode
  std::uint64_t migrate_sync = 0;   ///< and in the others
  std::uint64_t free = 0;           ///< where the free scanner goes on
  std::uint64_t init_migrate = 0;   ///< where they began when hints were last reset
  std::uint64_t init_free = 0;
  std::uint32_t considered = 0;    ///< requests since it failed
  std::uint32_t shift = 0;         ///< 2^shift requests are deferred
  std::uint32_t order_failed = 0;  ///< the least order that failed
  bool flush_hints = false;        ///< the hints are due to be reset

  friend bool operator==(const compaction_state&, const compaction_state&) = default;
};

/// What a direct compaction came to.
struct direct_compaction {
  compact_result result{};
  std::optional<pfn> block{};  ///< the request's; there may be none although a run succeeded
};

/// A scanner went over part of a pageblock.
struct scan_event {
  enum class scanner : unsigned char { migrate, free };
  scanner which{};
  pfn first{};
  pfn last{};  ///< one past what was looked at
  frame_count taken = 0;
};

/// A zone was tested for whether compaction is worth while there.
struct suitability_event {
  zone_type zone{};
  std::optional<memsim::order> order{};  ///< none: everything is to be compacted
  compact_result result{};
};

struct compaction_start_event {
  zone_type zone{};
  pfn migrate{};
  pfn free{};
  migration_mode mode{};
};

struct compaction_end_event {
  zone_type zone{};
  pfn migrate{};
  pfn free{};
  compact_result result{};
};

}  // namespace memsim
