// SPDX-License-Identifier: Apache-2.0
// A million random operations with pages of all sizes, migration, pins, ranges, claims, compaction
// and reclaim: no frame is lost, no pinned page moves, no area's bitmap changes by what happens to
// another, and a machine restored from what it says of itself is the same.
#include <algorithm>
#include <array>
#include <cstdlib>
#include <vector>

#include <memsim/core/random.hpp>
#include <memsim/testing/invariants.hpp>

#include "alloc/owned_pages.hpp"
#include "catch.hpp"

using namespace memsim;

namespace {

constexpr std::array areas{cma_area{pfn{6 * 1024}, 4 * pageblock_frames},
                           cma_area{pfn{9 * 1024}, 2 * pageblock_frames, order{1}}};

// Sanitizers make it slower by an order of magnitude.
std::uint64_t wanted_operations() {
  const char* const text = std::getenv("MEMSIM_PROPERTY_OPERATIONS");
  return text == nullptr ? 1'000'000 : std::strtoull(text, nullptr, 10);
}

class random_machine {
 public:
  random_machine(const kernel_profile& profile, std::uint64_t seed)
      : memory_{{.memory = memory_map::x86_64(64_MiB),
                 .profile = profile,
                 .cpus = 2,
                 .cma_areas = {areas.begin(), areas.end()}}},
        pages_{memory_},
        random_{seed, "contig properties"},
        frames_{accounted()} {}

  void step() {
    ctx_.cpu = cpu_id{static_cast<unsigned>(random_.below(2))};
    const auto dice = random_.below(1000);
    if (dice < 520) {
      allocate();
    } else if (dice < 960) {
      free_any();
    } else if (dice < 975) {
      pin_any();
    } else if (dice < 990) {
      unpin_any();
    } else if (dice < 994) {
      take_range();
    } else if (dice < 997) {
      claim_or_release();
    } else if (dice < 999) {
      compact();
    } else {
      memory_.drain_all(ctx_);
      memory_.flush_lru_batches();
    }
    REQUIRE_FALSE(pages_.lost_track);
  }

  void check() {
    const auto broken = memsim::testing::check_invariants(memory_);
    REQUIRE(broken == std::vector<std::string>{});
    REQUIRE(accounted() == frames_);
    for (const auto& [tag, page] : pinned_) REQUIRE(pages_.where.at(tag) == page);
    check_claims();
    const auto state = memory_.state();
    const auto again = page_allocator::restore(state, memory_.profile(), memory_.settings());
    if (!again) FAIL(again.error().message());
    REQUIRE(again->state_digest() == memory_.state_digest());
  }

  [[nodiscard]] const page_allocator& memory() const { return memory_; }
  [[nodiscard]] std::uint64_t moves() const { return pages_.moves; }

 private:
  struct claim {
    std::size_t area;
    pfn first;
    frame_count count;
  };

  struct live_page {
    std::uint32_t tag;
    order size;
  };

  // Free, on a per-CPU list, or in use: every frame is one of these, always.
  [[nodiscard]] frame_count accounted() const {
    frame_count sum = 0;
    const auto state = memory_.state();
    for (const auto& z : state.zones) {
      for (unsigned o = 0; o < page_orders; ++o) {
        for (const auto& list : z.free_lists[o]) sum += list.size() << o;
      }
      for (const auto& cpu : z.cpus) sum += cpu.count;
      for (const auto& block : z.allocated) sum += block.size.frames();
    }
    return sum;
  }

  // The bits of each area are those of the claims on it.
  void check_claims() const {
    const auto recorded = memory_.state().cma_claims;
    for (std::size_t i = 0; i < areas.size(); ++i) {
      std::vector<bool> expected(areas[i].count);
      std::vector<bool> claimed(areas[i].count);
      const auto set = [](std::vector<bool>& frames, frame_count first, frame_count count) {
        std::fill_n(frames.begin() + static_cast<std::ptrdiff_t>(first), count, true);
      };
      for (const auto& c : claims_) {
        const auto bit = areas[i].per_bit.frames();
        if (c.area == i) set(expected, c.first - areas[i].base, (c.count + bit - 1) / bit * bit);
      }
      if (!recorded.empty()) {
        for (const auto& c : recorded[i]) set(claimed, c.offset, c.count);
      }
      REQUIRE(claimed == expected);
    }
  }

  template <class Container>
  auto any_of(Container& items) {
    return std::next(items.begin(), static_cast<std::ptrdiff_t>(random_.below(items.size())));
  }

  void allocate() {
    if (random_.chance(0.3)) {
      const order size{static_cast<unsigned>(random_.below(5))};
      if (const auto block = memory_.alloc(ctx_, size, gfp_kernel))
        kernel_.push_back({*block, size});
      return;
    }
    const auto kind = static_cast<page_kind>(random_.below(page_kinds));
    // Drivers' pages are single ones.
    const bool large = kind != page_kind::driver && random_.chance(0.05);
    const order size{large ? static_cast<unsigned>(1 + random_.below(9)) : 0};
    const auto flags =
        large ? gfp_highuser_movable | gfp_flag::comp | gfp_flag::noretry : gfp_highuser_movable;
    if (const auto tag = pages_.add(ctx_, kind, flags, size)) live_.push_back({*tag, size});
  }

  void free_any() {
    if (!kernel_.empty() && random_.chance(0.35)) {
      const auto block = any_of(kernel_);
      memory_.free(ctx_, block->block, block->size);
      *block = kernel_.back();
      kernel_.pop_back();
    } else if (!live_.empty()) {
      const auto page = any_of(live_);
      if (pinned_.contains(page->tag)) return;
      // Else it was dropped.
      if (pages_.where.contains(page->tag)) pages_.remove(ctx_, page->tag, page->size);
      *page = live_.back();
      live_.pop_back();
    }
  }

  void pin_any() {
    if (live_.empty() || pinned_.size() > 200) return;
    const auto tag = any_of(live_)->tag;
    if (!pages_.where.contains(tag) || pinned_.contains(tag)) return;
    if (random_.chance(0.5)) {
      memory_.pin(pages_.where[tag]);
    } else if (!memory_.pin_longterm(ctx_, pages_.where[tag])) {
      return;
    }
    pinned_[tag] = pages_.where[tag];
  }

  void unpin_any() {
    if (pinned_.empty()) return;
    const auto pin = any_of(pinned_);
    memory_.unpin(pin->second);
    pinned_.erase(pin);
  }

  void take_range() {
    const pfn first{4096 + random_.below(11'000)};
    const frame_count count = 1 + random_.below(700);
    const bool lent = memory_.pageblock_type(first) == migratetype::cma;
    const auto type = lent ? migratetype::cma : migratetype::movable;
    // A range of CMA frames is had through its bitmap alone.
    if (lent || memory_.pageblock_type(first + count) == migratetype::cma) return;
    if (memory_.alloc_contig_range(ctx_, first, count, type)) {
      memory_.free_contig_range(ctx_, first, count);
    }
  }

  void claim_or_release() {
    if (claims_.size() > 3 || (!claims_.empty() && random_.chance(0.4))) {
      const auto held = any_of(claims_);
      memory_.cma_release(ctx_, held->area, held->first, held->count);
      *held = claims_.back();
      claims_.pop_back();
      return;
    }
    const auto area = static_cast<std::size_t>(random_.below(areas.size()));
    const frame_count count = 1 + random_.below(600);
    const order align{static_cast<unsigned>(random_.below(10))};
    if (const auto first = memory_.cma_alloc(ctx_, area, count, align)) {
      claims_.push_back({area, *first, count});
    }
  }

  void compact() {
    switch (random_.below(4)) {
      case 0: return memory_.compact_everything(ctx_);
      case 1: return memory_.compact_in_background(ctx_, order{9}, zone_type::normal);
      case 2: memory_.reset_skip_hints(); return;
      default: break;
    }
    const order size{1 + static_cast<unsigned>(random_.below(10))};
    const auto priority = static_cast<compact_priority>(random_.below(3));
    const auto flags = random_.chance(0.5) ? gfp_highuser_movable : gfp_kernel;
    const auto got = memory_.compact_for(ctx_, size, flags, priority);
    if (got.block) memory_.free(ctx_, *got.block, size);
  }

  page_allocator memory_;
  owned_pages pages_;
  random_stream random_;
  context ctx_;
  frame_count frames_;
  std::vector<allocated_block> kernel_;
  std::vector<live_page> live_;
  std::map<std::uint32_t, pfn> pinned_;
  std::vector<claim> claims_;
};

void run(const kernel_profile& profile) {
  const auto operations = wanted_operations();
  random_machine machine{profile, 20'241'121};
  const auto every = std::max<std::uint64_t>(operations / 250, 1);
  for (std::uint64_t i = 0; i < operations; ++i) {
    machine.step();
    if (i % every == 0) machine.check();
  }
  machine.check();
  // It was not in vain.
  CHECK(machine.moves() > operations / 100);
  CHECK(machine.memory().counts().migrations_refused > 0);
  CHECK(machine.memory().counts().compactions > 0);
}

}  // namespace

TEST_CASE("frames are conserved and pins hold under Linux 6.1", "[alloc][contig][property]") {
  run(linux_6_1);
}

TEST_CASE("frames are conserved and pins hold under Linux 6.12", "[alloc][contig][property]") {
  run(linux_6_12);
}
