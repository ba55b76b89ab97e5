// SPDX-License-Identifier: Apache-2.0
#include <memsim/testing/invariants.hpp>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include <memsim/alloc/page_allocator.hpp>
#include <memsim/core/format.hpp>

namespace memsim::testing {
namespace {

using node = frame_table::node;

constexpr unsigned huge_order = pageblock_order.value();
constexpr auto block_frames = static_cast<node>(pageblock_frames);

// One look at one allocator.
class inspection {
 public:
  explicit inspection(const detail::memory_view& view)
      : view_{view}, frames_{view.frames}, tallies_(view.zones.size()) {}

  std::vector<std::string> run() {
    for (node block = 0; block < frames_.pageblocks(); ++block) look_at_pageblock(block);
    for (std::size_t z = 0; z < view_.zones.size(); ++z) {
      check_counters(view_.zones[z], tallies_[z]);
      check_limits(view_.zones[z], tallies_[z]);
      check_per_cpu(z);
    }
    if (suppressed_ != 0) violations_.push_back(fmt::format("and {} more", suppressed_));
    return std::move(violations_);
  }

 private:
  struct tally {
    std::array<std::array<std::uint64_t, migratetypes>, page_orders> free_blocks{};
    std::uint64_t per_cpu_blocks = 0;
    std::uint64_t highatomic_pageblocks = 0;
  };

  static constexpr std::size_t no_zone = ~std::size_t{0};

  template <class... Args>
  void violation(fmt::format_string<Args...> text, Args&&... args) {
    if (violations_.size() == max_violations) {
      ++suppressed_;
    } else {
      violations_.push_back(fmt::format(text, std::forward<Args>(args)...));
    }
  }

  [[nodiscard]] std::size_t zone_of(pfn frame) const {
    for (std::size_t z = 0; z < view_.zones.size(); ++z) {
      const auto& extent = view_.zones[z].extent;
      if (frame >= extent.start && frame < extent.end()) return z;
    }
    return no_zone;
  }

  [[nodiscard]] migratetype pageblock_type(pfn frame) const { return view_.pageblock_type(frame); }

  [[nodiscard]] bool claims_whole_pageblocks() const {
    return view_.profile.fallback == fallback_rule::claim_or_steal;
  }

  // --- every frame in ascending order ---

  void look_at_pageblock(node block) {
    const node first = block * block_frames;
    // A pageblock that straddles a zone's begin belongs to the zone of its last frame.
    if (pfn{first} < frames_.end()) {
      const pfn last{std::min<std::uint64_t>(first + block_frames, frames_.end().value()) - 1};
      const auto z = zone_of(last);
      if (z != no_zone && pageblock_type(last) == migratetype::highatomic) {
        ++tallies_[z].highatomic_pageblocks;
      }
    }
    const auto whole = frames_.mark(first, huge_order);
    if (whole != frame_mark{}) look_at(first, whole, true);

    const bool any = look_at_frames(first, whole);
    if (any && !frames_.touched(block)) {
      violation("pageblock at frame {}: has marks below order {} and is not touched", first,
                huge_order);
    }
  }

  // \return whether the pageblock has any mark below pageblock order
  bool look_at_frames(node first, frame_mark whole) {
    bool any = false;
    constexpr node word = 64;
    for (node i = first; i < first + block_frames; i += word) {
      const std::uint64_t out = frames_.pages_out()[i / word];
      std::array<std::uint64_t, word / sizeof(std::uint64_t)> marks{};
      std::memcpy(marks.data(), frames_.marks() + i, word);
      if (out == 0 && std::ranges::all_of(marks, [](auto m) { return m == 0; })) continue;
      any = true;
      for (node frame = i; frame < i + word; ++frame) look_at_frame(frame, whole);
    }
    return any;
  }

  void look_at_frame(node frame, frame_mark whole) {
    const auto mark = frames_.mark(frame, 0);
    if (frames_.is_page_out(frame) && mark != frame_mark::per_cpu(0)) {
      violation(
          "frame {}: handed out as a page and marked as a {} block of order {}, expected "
          "per-CPU of order 0",
          frame, mark.use(), mark.order());
    }
    const auto seen = frames_.low_mark_at(frame);
    if (seen == frame_mark{}) return;
    if (whole != frame_mark{} && frame % block_frames == 0) {
      violation("frame {}: marked both as a {} block of order {} and as a {} block of order {}",
                frame, whole.use(), whole.order(), seen.use(), seen.order());
    }
    look_at(frame, seen, false);
  }

  void look_at(node index, frame_mark mark, bool huge) {
    const pfn frame{index};
    if (index < covered_end_) {
      if (mark.use() != frame_use::none) {
        violation(
            "frame {}: begins a {} block of order {}, and is inside the {} block of order {} "
            "at frame {}",
            index, mark.use(), mark.order(), covering_.use(), covering_.order(), covered_first_);
        return;
      }
      if (covering_.use() != frame_use::allocated) {
        violation(
            "frame {}: counts as movable in use, and is inside the {} block of order {} at "
            "frame {}",
            index, covering_.use(), covering_.order(), covered_first_);
      }
      return;
    }
    if (mark.use() == frame_use::none) return;

    const unsigned order = mark.order();
    if (huge ? order < huge_order || order >= page_orders : order >= huge_order) {
      violation("frame {}: marked with order {} among the {}", index, order,
                huge ? "pageblocks" : "frames");
      return;
    }
    const node size = node{1} << order;
    covered_first_ = index;
    covered_end_ = index + size;
    covering_ = mark;
    const auto z = zone_of(frame);
    if (z == no_zone) {
      violation("frame {}: {} block of order {} lies in no zone", index, mark.use(), order);
      return;
    }
    const auto& extent = view_.zones[z].extent;
    if (index % size != 0) {
      violation("zone {} frame {}: {} block of order {} is not aligned", extent.type, index,
                mark.use(), order);
    }
    if (frame + size > extent.end()) {
      violation("zone {} frame {}: {} block of order {} ends beyond the zone at {}", extent.type,
                index, mark.use(), order, extent.end());
      return;
    }
    if (mark.use() == frame_use::per_cpu) {
      ++tallies_[z].per_cpu_blocks;
      if (mark.movable()) {
        violation("zone {} frame {}: on a per-CPU list, and counts as movable in use", extent.type,
                  index);
      }
    } else if (mark.use() == frame_use::free) {
      look_at_free(z, index, order, mark);
    }
  }

  void look_at_free(std::size_t z, node index, unsigned order, frame_mark mark) {
    const auto& extent = view_.zones[z].extent;
    if (mark.list() >= migratetypes) {
      violation("zone {} frame {}: free block of order {} names list {} of {}", extent.type, index,
                order, mark.list(), migratetypes);
      return;
    }
    check_list_type(extent, index, order, static_cast<migratetype>(mark.list()));
    check_buddy(z, index, order, mark);
    check_place(z, index, order, mark);
  }

  // --- one free block ---

  void check_list_type(const zone_extent& extent, node index, unsigned order, migratetype list) {
    const node end = index + (node{1} << order);
    for (node frame = index; frame < end; frame += block_frames) {
      const auto type = pageblock_type(pfn{frame});
      if (type == list) continue;
      // CMA pages are on CMA lists, and those on no other, under either rule.
      const bool strict =
          claims_whole_pageblocks() || list == migratetype::cma || type == migratetype::cma;
      if (strict) {
        violation(
            "zone {} frame {}: free block of order {} is on list {}, expected its "
            "pageblock's type {}",
            extent.type, index, order, list, type);
      }
    }
  }

  // Two order-9 buddies may stay apart when one of them could not merge with the other's type. A
  // pageblock that is wholly free never becomes or ceases to be mergeable, so today's types tell.
  [[nodiscard]] bool must_merge(node a, frame_mark a_mark, node b, frame_mark b_mark) const {
    if (a_mark.order() < huge_order) return true;
    const std::array types{static_cast<migratetype>(a_mark.list()),
                           static_cast<migratetype>(b_mark.list()), pageblock_type(pfn{a}),
                           pageblock_type(pfn{b})};
    return std::ranges::all_of(types, is_mergeable) ||
           std::ranges::all_of(types, [&](auto type) { return type == types[0]; });
  }

  void check_buddy(std::size_t z, node index, unsigned order, frame_mark mark) {
    if (order == max_page_order.value()) return;
    const node buddy = index ^ (node{1} << order);
    if (buddy < index || zone_of(pfn{buddy}) != z || pfn{buddy} >= frames_.end()) return;
    const auto other = frames_.mark(buddy, order);
    if (other.is_free(order) && must_merge(index, mark, buddy, other)) {
      violation(
          "zone {} frame {}: free block of order {} has a free buddy at {}, expected one "
          "block of order {}",
          view_.zones[z].extent.type, index, order, buddy, order + 1);
    }
  }

  void check_place(std::size_t z, node index, unsigned order, frame_mark mark) {
    ++tallies_[z].free_blocks[order][mark.list()];
    const auto& list = view_.zones[z].lists[order * migratetypes + mark.list()];
    const auto place = frames_.place(index, order);
    if (place - list.first() >= list.size()) {
      violation(
          "zone {} frame {}: place of this free block of order {} is {}, its list has {} to {}",
          view_.zones[z].extent.type, index, order, place, list.first(), list.last());
    } else if (list[place] != index) {
      violation(
          "zone {} frame {}: at the place of this free block of order {} its list has frame {}",
          view_.zones[z].extent.type, index, order, list[place]);
    }
  }

  // --- a zone ---

  void check_counters(const zone& z, const tally& found) {
    std::array<std::int64_t, migratetypes> pages{};
    for (unsigned type = 0; type < migratetypes; ++type) {
      std::uint32_t orders = 0;
      for (unsigned order = 0; order < page_orders; ++order) {
        const auto blocks = found.free_blocks[order][type];
        if (z.free_blocks[order][type] != blocks) {
          violation("zone {}: counts {} free blocks of order {} on list {}, expected {}",
                    z.extent.type, z.free_blocks[order][type], order,
                    static_cast<migratetype>(type), blocks);
        }
        pages[type] += static_cast<std::int64_t>(blocks) << order;
        if (blocks != 0) orders |= 1u << order;
      }
      if (z.free_orders[type] != orders) {
        violation("zone {}: orders with free blocks on list {} are {:#x}, expected {:#x}",
                  z.extent.type, static_cast<migratetype>(type), z.free_orders[type], orders);
      }
    }
    const auto of = [&](migratetype type) { return pages[static_cast<unsigned>(type)]; };
    std::int64_t all = -of(migratetype::isolate);
    for (const auto n : pages) all += n;
    const auto expect = [&](const char* what, std::int64_t counted, std::int64_t listed) {
      if (counted != listed) {
        violation("zone {}: counts {} {}, expected {} from its lists", z.extent.type, counted, what,
                  listed);
      }
    };
    expect("free pages", z.exact_free_pages(), all);
    expect("free CMA pages", z.exact_free_cma(), of(migratetype::cma));
    if (view_.profile.highatomic == highatomic_deduction::free_pages) {
      expect("free highatomic pages", static_cast<std::int64_t>(z.free_highatomic),
             of(migratetype::highatomic));
    }
  }

  void check_limits(const zone& z, const tally& found) {
    const std::uint64_t factor = view_.settings.watermark_boost_factor;
    const auto most = std::max<std::uint64_t>(pageblock_frames, z.marks.high * factor / 10000);
    if (factor != 0 && z.boost > most) {
      violation("zone {}: boost is {}, expected at most {}", z.extent.type, z.boost, most);
    }
    const auto limit = highatomic_limit_of(z) + pageblock_frames;
    if (z.reserved_highatomic > limit) {
      violation("zone {}: {} pages are reserved for highatomic requests, expected at most {}",
                z.extent.type, z.reserved_highatomic, limit);
    }
    // Under the other rule a reserved pageblock can be lost to a merge of order 9.
    const auto reserved = found.highatomic_pageblocks * pageblock_frames;
    if (claims_whole_pageblocks() && z.reserved_highatomic != reserved) {
      violation(
          "zone {}: {} pages are reserved for highatomic requests, expected {} from its "
          "pageblocks",
          z.extent.type, z.reserved_highatomic, reserved);
    }
    for (std::size_t cpu = 0; cpu < z.cpus.size(); ++cpu) {
      const auto threshold = std::int64_t{z.counter_threshold};
      for (const std::int64_t pending : {z.cpus[cpu].pending.free, z.cpus[cpu].pending.cma}) {
        if (pending > threshold || -pending > threshold) {
          violation("zone {} CPU {}: {} pages are pending, expected at most {} either way",
                    z.extent.type, cpu, pending, threshold);
        }
      }
    }
  }

  [[nodiscard]] std::uint64_t highatomic_limit_of(const zone& z) const {
    const auto hundredth = z.extent.managed / 100;
    switch (view_.profile.highatomic_reserve) {
      case highatomic_limit::hundredth_plus_block: return hundredth + pageblock_frames;
      case highatomic_limit::hundredth_in_blocks: break;
    }
    if (hundredth < pageblock_frames) return 0;
    return (hundredth + pageblock_frames - 1) / pageblock_frames * pageblock_frames;
  }

  // What the short way relies on without looking further.
  void check_derived(const zone& z, std::size_t cpu) {
    const auto& set = z.cpus[cpu];
    const bool adaptive = view_.profile.pcp == pcp_rule::adaptive_high;
    const bool within_limits = !adaptive || (set.high_min <= set.high && set.high <= set.high_max);
    const auto trim_at = z.reclaim_active || z.below_high || !within_limits ? 0 : set.high;
    if (set.trim_at != trim_at) {
      violation("zone {} CPU {}: page set is trimmed at {} pages, expected {}", z.extent.type, cpu,
                set.trim_at, trim_at);
    }
    const auto largest = set.batch << view_.settings.pcp_batch_scale_max;
    if (set.largest_batch != largest || set.free_count_limit != (adaptive ? largest : 0)) {
      violation("zone {} CPU {}: largest batch is {}, limit of free_count {}, expected {} and {}",
                z.extent.type, cpu, set.largest_batch, set.free_count_limit, largest,
                adaptive ? largest : 0);
    }
  }

  void check_per_cpu(std::size_t index) {
    const auto& z = view_.zones[index];
    std::vector<std::uint32_t> seen;
    for (std::size_t cpu = 0; cpu < z.cpus.size(); ++cpu) {
      const auto& set = z.cpus[cpu];
      std::uint64_t pages = 0;
      for (unsigned list = 0; list < pcp_lists; ++list) {
        const unsigned order = pcp_order_of(list);
        pages += std::uint64_t{set.lists[list].size()} << order;
        for (auto at = set.lists[list].first(); at != set.lists[list].last(); ++at) {
          const auto frame = set.lists[list][at].frame();
          seen.push_back(frame);
          if (pfn{frame} >= frames_.end() || zone_of(pfn{frame}) != index) {
            violation("zone {} CPU {}: frame {} on per-CPU list {} is not in the zone",
                      z.extent.type, cpu, frame, list);
          } else if (const auto mark = frames_.mark(frame, order);
                     mark != frame_mark::per_cpu(order) ||
                     (order == 0 && frames_.is_page_out(frame))) {
            violation(
                "zone {} frame {}: on per-CPU list {} of CPU {} and marked {} with order {}, "
                "expected per-CPU with order {}",
                z.extent.type, frame, list, cpu,
                order == 0 ? frames_.low_mark_at(frame).use() : mark.use(), mark.order(), order);
          }
        }
      }
      check_derived(z, cpu);
      if (set.count != pages) {
        violation("zone {} CPU {}: counts {} pages on its lists, expected {}", z.extent.type, cpu,
                  set.count, pages);
      }
    }
    std::ranges::sort(seen);
    if (const auto twice = std::ranges::adjacent_find(seen); twice != seen.end()) {
      violation("zone {} frame {}: on per-CPU lists twice", z.extent.type, *twice);
    }
    if (seen.size() != tallies_[index].per_cpu_blocks) {
      violation("zone {}: {} blocks are marked per-CPU, expected {} from the lists", z.extent.type,
                tallies_[index].per_cpu_blocks, seen.size());
    }
  }

  const detail::memory_view& view_;
  const frame_table& frames_;
  std::vector<tally> tallies_;
  std::vector<std::string> violations_;
  std::size_t suppressed_ = 0;
  // The block that the scan is inside of.
  node covered_first_ = 0;
  std::uint64_t covered_end_ = 0;
  frame_mark covering_{};
};

}  // namespace

std::vector<std::string> detail::check_invariants(const memory_view& view) {
  return inspection{view}.run();
}

std::vector<std::string> check_invariants(const page_allocator& memory) {
  return detail::check_invariants(
      {.zones = memory.zones(),
       .frames = memory.frames(),
       .pageblock_type = [&](pfn frame) { return memory.pageblock_type(frame); },
       .profile = memory.profile(),
       .settings = memory.settings()});
}

}  // namespace memsim::testing
