// SPDX-License-Identifier: Apache-2.0
// Skip hints cleared where there is something to scan again (compaction A9).
#include <algorithm>

#include "alloc/allocator_core.hpp"

namespace memsim::detail {
namespace {

constexpr std::uint64_t block_size = pageblock_frames;

}  // namespace

// Whether a pageblock may be a source of pages to move, or of targets; its hint goes then.
bool allocator_core::clear_skip_hint(const zone& z, std::uint64_t frame, bool source, bool target) {
  if (!is_described_in(z, frame)) return false;
  const auto block = static_cast<frame_index>(frame / block_size);
  if (source && target && !frames_.skip_hint(block)) return true;
  if (!source && block_type(static_cast<frame_index>(frame)) != migratetype::movable) return false;
  constexpr std::uint64_t sample = 8;
  const auto first = std::max(block * block_size, z.extent.start.value());
  const auto last = std::min((block + 1) * block_size, z.extent.end().value());
  for (auto i = first; i < last; i += sample) {
    const auto mark = frames_.mark_at(pfn{i});
    const bool on_lru = frames_.info(static_cast<frame_index>(i)).flags.has_any(page_flag::lru);
    if ((source && on_lru) || (target && mark.use() == frame_use::free)) {
      frames_.clear_skip_hint(block);
      return true;
    }
  }
  return false;
}

void allocator_core::reset_skip_hints(zone& z) {
  auto& memory = z.compaction;
  if (!memory.flush_hints) return;
  memory.flush_hints = false;
  std::uint64_t up = z.extent.start.value();
  std::uint64_t down = z.extent.end().value() - 1;
  std::uint64_t source = down;
  std::uint64_t target = up;
  bool has_source = false;
  bool has_target = false;
  for (; up < down; up += block_size, down -= block_size) {
    if (clear_skip_hint(z, up, true, has_source) && up < source) {
      has_source = true;
      source = up;
      memory.init_migrate = memory.migrate_async = memory.migrate_sync = source;
    }
    if (clear_skip_hint(z, down, has_target, true) && down > target) {
      has_target = true;
      target = down;
      memory.init_free = memory.free = target;
    }
  }
  if (source >= target) {
    memory.migrate_async = memory.migrate_sync = up;
    memory.free = down;
  }
}

}  // namespace memsim::detail
