// SPDX-License-Identifier: Apache-2.0
// The TLB and the blackboard model of reference_tlb.hpp do the same: every translation, every
// number counted, on random streams of mixed page sizes, spaces, flushes and changes of mapping.
#include <set>
#include <tuple>
#include <vector>

#include <memsim/arch/tlb.hpp>
#include <memsim/arch/tlb_presets.hpp>
#include <memsim/core/random.hpp>

#include "arch/reference_tlb.hpp"
#include "catch.hpp"

using namespace memsim;

namespace {

constexpr std::uint64_t regions = 24;  // of 1 GiB
constexpr std::uint64_t frames_per_region = frames_of(page_size::g1);

/// What the page tables say: some regions are mapped by 1 GiB, others by 2 MiB and 4 KiB. The last
/// third is the kernel's.
class mapped_memory {
 public:
  explicit mapped_memory(random_stream& random) : random_{random} {
    for (std::uint64_t region = 0; region < regions; ++region) remap(region);
  }

  [[nodiscard]] page_mapping of(vpn page) const {
    const auto& sizes = sizes_[page.value() / frames_per_region];
    return {.size = sizes[page.value() / pageblock_frames % sizes.size()],
            .scope = page.value() / frames_per_region >= regions * 2 / 3
                         ? mapping_scope::global
                         : mapping_scope::address_space};
  }
  void remap(std::uint64_t region) {
    auto& sizes = sizes_[region];
    sizes.assign(1, page_size::g1);
    if (random_.chance(0.3)) return;
    sizes.resize(512);
    for (auto& size : sizes) size = random_.chance(0.5) ? page_size::m2 : page_size::k4;
  }

 private:
  random_stream& random_;
  std::array<std::vector<page_size>, regions> sizes_{};
};

/// Pages as programs ask for them: again, next to the last one, among a few, anywhere.
class page_stream {
 public:
  explicit page_stream(random_stream& random) : random_{random} {
    for (auto& page : hot_) page = anywhere();
  }
  vpn next() {
    switch (random_.below(8)) {
      case 0: break;
      case 1: last_ = vpn{(last_.value() + 1) % (regions * frames_per_region)}; break;
      case 2: last_ = last_.base(page_size::m2) + random_.below(pageblock_frames); break;
      case 3: last_ = anywhere(); break;
      // A power of two apart: many pages, few sets.
      case 4: last_ = vpn{random_.below(40) << 14}; break;
      default: last_ = hot_[random_.below(hot_.size())];
    }
    return last_;
  }

 private:
  vpn anywhere() { return vpn{random_.below(regions * frames_per_region)}; }

  random_stream& random_;
  std::array<vpn, 100> hot_{};
  vpn last_{};
};

tlb_flush some_flush(random_stream& random, asid space, vpn page) {
  const vpn first = page.base(page_size::m2);
  switch (random.below(12)) {
    case 0: return tlb_flush::everything();
    case 1: return tlb_flush::all_but_global();
    case 2: return tlb_flush::address_space(space);
    case 3: return tlb_flush::range(space, first, 1 + random.below(40));
    case 4:
      return tlb_flush::range(
          space, first, 1 + random.below(40 * pageblock_frames),
          {.ceiling = 20, .stride = page_size::m2, .beyond = full_flush::address_space});
    default: return tlb_flush::page(space, page);
  }
}

void run_side_by_side(const tlb_config& config, unsigned operations) {
  random_stream random{7, "tlb_model_test"};
  mapped_memory memory{random};
  page_stream pages{random};
  tlb fast{config};
  reference::tlb plain{config};
  for (unsigned i = 0; i < operations; ++i) {
    const asid space{static_cast<std::uint16_t>(random.below(3))};
    const vpn page = pages.next();
    if (random.chance(0.004)) {
      const auto flush = some_flush(random, space, page);
      CAPTURE(i, flush);
      fast.flush(flush);
      plain.flush(flush);
      if (flush.pages == 1) REQUIRE_FALSE(fast.holds(space, page));
    } else if (random.chance(0.0005)) {
      // With no flush: what was cached goes on being served.
      memory.remap(random.below(regions));
    } else {
      CAPTURE(i, space, page);
      const auto mapping = memory.of(page);
      const auto expected = plain.translate(space, page, mapping);
      bool asked = false;
      const auto got = fast.translate(space, page, [&](asid, vpn) {
        asked = true;
        return mapping;
      });
      REQUIRE(got == expected);
      REQUIRE(asked == (got.hit_level == 0));
      REQUIRE(fast.holds(space, page));
    }
    if (i % 1000 == 0) {
      REQUIRE(fast.counts() == plain.counts());
      for (unsigned level = 1; level <= config.geometry.levels.size(); ++level) {
        for (const auto size : all_page_sizes) {
          REQUIRE(fast.entries(level, size) == plain.entries(level, size));
        }
      }
    }
  }
  const auto counts = fast.counts();
  REQUIRE(counts == plain.counts());
  // The stream reaches what is to be compared.
  CHECK(counts.levels[0].hits() > operations / 10);
  CHECK(counts.walks.walks() > operations / 100);
  CHECK(counts.levels[0].evictions() > 0);
  CHECK(counts.levels[0].flushed() > 0);
}

tlb_config odd_config(replacement policy) {
  using enum page_size;
  return {.geometry = {.levels = {{{.sizes = {k4, m2}, .table = {5, 3, policy}},
                                   {.sizes = {g1}, .table = {1, 1, policy}}},
                                  {{.sizes = {k4}, .table = {7, 8, policy}}},
                                  {{.sizes = {k4, m2, g1}, .table = {3, 48, policy}}}},
                       .table_levels = 5,
                       .walk_caches = {.pde = {3, 4, policy},
                                       .pdpte = {1, 5, policy},
                                       .pml4e = {1, 2, policy},
                                       .pml5e = {1, 1, policy},
                                       .on_page_flush = walk_cache_flush::covering}}};
}

tlb_config wide_config() {
  using enum page_size;
  return {.geometry = {.levels = {{{.sizes = {k4, m2, g1}, .table = {.sets = 1, .ways = 72}}},
                                  {{.sizes = {k4, m2}, .table = {.sets = 64, .ways = 16}}}},
                       .walk_caches = {.pde = {.sets = 1, .ways = 64}}}};
}

}  // namespace

TEST_CASE("a Skylake TLB agrees with the blackboard model", "[arch][tlb]") {
  run_side_by_side({.geometry = presets::skylake_sp_tlb()}, 60'000);
}

TEST_CASE("a TLB of odd sets and three levels agrees with the blackboard model", "[arch][tlb]") {
  run_side_by_side(odd_config(replacement::lru), 60'000);
}

TEST_CASE("a fully associative TLB agrees with the blackboard model", "[arch][tlb]") {
  run_side_by_side(wide_config(), 60'000);
}

TEST_CASE("tree pseudo-LRU agrees with the blackboard model", "[arch][tlb]") {
  run_side_by_side(odd_config(replacement::tree_plru), 60'000);
}

TEST_CASE("a TLB under nested paging agrees with the blackboard model", "[arch][tlb]") {
  tlb_config config{.geometry = presets::skylake_sp_tlb(), .nested = nested_paging{}};
  run_side_by_side(config, 20'000);
  config.nested = {
      .host_page = page_size::m2, .host_table_levels = 5, .nested_tlb = {.sets = 3, .ways = 6}};
  run_side_by_side(config, 20'000);
  config.geometry = wide_config().geometry;
  run_side_by_side(config, 20'000);
}

TEST_CASE("with random replacement, a hit is what was walked for since it was last flushed",
          "[arch][tlb]") {
  random_stream random{11, "tlb_model_test"};
  mapped_memory memory{random};
  page_stream pages{random};
  tlb t{odd_config(replacement::random)};
  // Regions that may be cached, by (space, size, first page).
  std::set<std::tuple<std::uint16_t, page_size, std::uint64_t>> possible;
  unsigned hits = 0;
  for (unsigned i = 0; i < 60'000; ++i) {
    const asid space{static_cast<std::uint16_t>(random.below(3))};
    const vpn page = pages.next();
    const auto mapping = memory.of(page);
    const bool global = mapping.scope == mapping_scope::global;
    const std::uint16_t owner = global ? 0xffff : space.value();
    CAPTURE(i, space, page);
    if (random.chance(0.01)) {
      t.flush(tlb_flush::page(space, page));
      possible.erase({owner, mapping.size, page.base(mapping.size).value()});
      REQUIRE_FALSE(t.holds(space, page));
    } else if (random.chance(0.001)) {
      t.flush(tlb_flush::everything());
      possible.clear();
    } else {
      const auto got = t.translate(space, page, [&](asid, vpn) { return mapping; });
      const std::tuple key{owner, mapping.size, page.base(mapping.size).value()};
      if (got.hit_level != 0) REQUIRE(possible.contains(key));
      hits += got.hit_level != 0 ? 1 : 0;
      possible.insert(key);
    }
  }
  CHECK(hits > 10'000);
}
