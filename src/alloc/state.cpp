// SPDX-License-Identifier: Apache-2.0
// An allocator as plain data, and as a digest.
#include "alloc/state.hpp"

#include <algorithm>

#include "alloc/free_lists.hpp"
#include "alloc/in_use_state.hpp"

namespace memsim::detail {
namespace {

constexpr auto block_size = static_cast<frame_index>(pageblock_frames);

bool is_described(const allocator_core& core, pfn frame) {
  const auto* const region = core.memory_.find(frame);
  return region != nullptr && region->kind != region_kind::undescribed;
}

// The block that holds a frame, if any is known of.
std::optional<frame_mark> containing_block(const allocator_core& core, pfn frame) {
  for (unsigned o = 0; o < page_orders; ++o) {
    const auto start = static_cast<frame_index>(frame.value() >> o << o);
    const auto mark =
        o < pageblock_order.value() ? core.frames_.low_mark_at(start) : core.frames_.mark(start, o);
    if (mark.use() != frame_use::none && mark.order() == o) return mark;
  }
  return std::nullopt;
}

// Calls f(frame, mark) for every mark of the zone, ascending.
template <class F>
void for_each_mark(const allocator_core& core, const zone& z, F f) {
  const auto first = static_cast<frame_index>(z.extent.start.value());
  const auto last = static_cast<frame_index>(z.extent.end().value());
  for (frame_index block = first / block_size; block * block_size < last; ++block) {
    const frame_index start = block * block_size;
    const auto whole = core.frames_.mark(start, pageblock_order.value());
    if (whole != frame_mark{} && start >= first) f(start, whole);
    if (!core.frames_.touched(block)) continue;
    const frame_index end = std::min(last, start + block_size);
    for (frame_index i = std::max(first, start); i < end; ++i) {
      if (const auto mark = core.frames_.low_mark_at(i); mark != frame_mark{}) f(i, mark);
    }
  }
}

std::vector<std::optional<migratetype>> pageblocks_of(const allocator_core& core, const zone& z) {
  std::vector<std::optional<migratetype>> types;
  const pfn first{z.extent.start.value() / pageblock_frames * pageblock_frames};
  for (pfn block = first; block < z.extent.end(); block += pageblock_frames) {
    const pfn from = std::max(block, z.extent.start);
    const pfn to = std::min(block + pageblock_frames, z.extent.end());
    const bool hole = !core.memory_.has_descriptors(from, to);
    types.push_back(hole ? std::nullopt
                         : std::optional{core.block_type(static_cast<frame_index>(block.value()))});
  }
  return types;
}

pcp_state pcp_state_of(const per_cpu_pages& pcp) {
  pcp_state state{.count = pcp.count,
                  .high = pcp.high,
                  .batch = pcp.batch,
                  .free_factor = pcp.free_factor,
                  .high_min = pcp.high_min,
                  .high_max = pcp.high_max,
                  .alloc_factor = pcp.alloc_factor,
                  .free_count = pcp.free_count,
                  .previous_free_high_order = pcp.previous_free_high_order,
                  .free_high_batch = pcp.free_high_batch,
                  .pending = pcp.pending};
  for (unsigned list = 0; list < pcp_lists; ++list) {
    for (auto at = pcp.lists[list].first(); at != pcp.lists[list].last(); ++at) {
      const auto page = pcp.lists[list][at];
      state.lists[list].push_back({pfn{page.frame()}, page.type()});
    }
  }
  return state;
}

zone_state zone_state_of(const allocator_core& core, const zone& z) {
  zone_state state{.extent = z.extent,
                   .marks = z.marks,
                   .boost = z.boost,
                   .reserve = z.reserve,
                   .free_pages = z.free_pages,
                   .free_cma = z.free_cma,
                   .counter_threshold = z.counter_threshold,
                   .reserved_highatomic = z.reserved_highatomic,
                   .free_highatomic = z.free_highatomic,
                   .boosted = z.boosted,
                   .reclaim_active = z.reclaim_active,
                   .below_high = z.below_high};
  for (const auto& pcp : z.cpus) state.cpus.push_back(pcp_state_of(pcp));
  for (unsigned o = 0; o < page_orders; ++o) {
    for (const auto type : all_migratetypes) {
      state.free_lists[o][static_cast<unsigned>(type)] = list_blocks(core, z, o, type);
    }
  }
  state.pageblocks = pageblocks_of(core, z);
  for_each_mark(core, z, [&](frame_index frame, frame_mark mark) {
    if (mark.movable()) state.movable_in_use.push_back(pfn{frame});
    if (mark.use() == frame_use::allocated) {
      state.allocated.push_back({pfn{frame}, order{mark.order()}, mark.is_compound()});
    }
  });
  state.compaction = z.compaction;
  add_pages_in_use(core, z, state);
  return state;
}

}  // namespace

std::vector<pfn> list_blocks(const allocator_core& core, const zone& z, unsigned order,
                             migratetype type) {
  std::vector<pfn> blocks;
  const auto& list = z.lists[list_number(order, type)];
  for (auto at = list.first(); at != list.last(); ++at) {
    if (is_current(core.frames_, list, at, order, type)) blocks.push_back(pfn{list[at]});
  }
  return blocks;
}

bool can_be_movable(const allocator_core& core, pfn frame) {
  if (!is_described(core, frame)) return false;
  return !containing_block(core, frame) ||
         core.frames_.mark_at(frame).use() == frame_use::allocated;
}

void check_unused(const allocator_core& core, pfn block, order size) {
  for (pfn frame = block; frame < block + size.frames(); ++frame) {
    if (!is_described(core, frame)) {
      throw_usage("frames [{}, {}) cannot be adopted: frame {} is not memory with a descriptor",
                  block, block + size.frames(), frame);
    }
    if (const auto other = containing_block(core, frame)) {
      throw_usage("frames [{}, {}) cannot be adopted: frame {} is in a block that is {}", block,
                  block + size.frames(), frame, other->use());
    }
  }
}

allocator_state state_of(const allocator_core& core) {
  allocator_state state{.memory = core.memory_};
  for (const auto& z : core.zones_) state.zones.push_back(zone_state_of(core, z));
  state.cma_areas = core.cma_areas_;
  add_use_state(core, state);
  return state;
}

digest digest_of(const allocator_core& core) {
  digest d;
  const auto add = [&d](auto value) { d.add(static_cast<std::uint64_t>(value)); };
  for (const auto& region : core.memory_.regions()) {
    add(region.first.value());
    add(region.count);
    add(region.kind);
  }
  add(core.zones_.size());
  for (const auto& z : core.zones_) {
    for (const auto value :
         {z.extent.start.value(), z.extent.spanned, z.extent.present, z.extent.managed, z.marks.min,
          z.marks.low, z.marks.high, z.boost, z.reserved_highatomic, z.free_highatomic}) {
      add(value);
    }
    for (const auto pages : z.reserve) add(pages);
    add(z.free_pages);
    add(z.free_cma);
    add(z.counter_threshold);
    for (const bool flag : {z.boosted, z.reclaim_active, z.below_high}) add(flag);
    for (const auto& pcp : z.cpus) {
      for (const auto value : {pcp.count, pcp.high, pcp.batch, pcp.free_factor, pcp.high_min,
                               pcp.high_max, pcp.alloc_factor, pcp.free_count}) {
        add(value);
      }
      add(pcp.previous_free_high_order);
      add(pcp.free_high_batch);
      add(pcp.pending.free);
      add(pcp.pending.cma);
      for (const auto& list : pcp.lists) {
        add(list.size());
        for (auto at = list.first(); at != list.last(); ++at) {
          add(list[at].frame());
          if (core.profile_.pcp_notes_migratetype == rule::on) add(list[at].type());
        }
      }
    }
    for (unsigned o = 0; o < page_orders; ++o) {
      for (const auto type : all_migratetypes) {
        const auto blocks = list_blocks(core, z, o, type);
        add(blocks.size());
        for (const auto block : blocks) add(block.value());
      }
    }
    for (const auto& type : pageblocks_of(core, z)) add(type ? static_cast<unsigned>(*type) : 9);
    for_each_mark(core, z, [&](frame_index frame, frame_mark mark) {
      if (mark.use() == frame_use::allocated || mark.movable()) {
        add(frame);
        add(mark.bits());
      }
    });
  }
  add_use_digest(core, d);
  return d;
}

}  // namespace memsim::detail
