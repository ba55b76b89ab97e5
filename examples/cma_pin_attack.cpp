// SPDX-License-Identifier: Apache-2.0

/// \file
/// What can a process that pins pages do to a CMA area?
///
/// CMA lends an area to movable pages until a device claims it. A page that is pinned, as for
/// direct I/O or by splicing it into a pipe, does not move; who never lets go holds its part of the
/// area for ever. Here the area is full of movable pages, an attacker pins some of them at random,
/// and a device asks for contiguous frames: how often does it get them, after how much work? The
/// last table is for pins that say that they are for long (FOLL_LONGTERM): those move out of the
/// area first.

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include <fmt/format.h>

#include <memsim/alloc/cma.hpp>
#include <memsim/alloc/page_allocator.hpp>
#include <memsim/arch/cost_model.hpp>
#include <memsim/core/random.hpp>

using namespace memsim;

namespace {

constexpr bytes area_size = 128_MiB;
constexpr std::array pin_counts{0u, 1u, 4u, 16u, 64u, 256u, 1024u};
constexpr std::array claim_sizes{64_KiB, 1_MiB, 4_MiB, 16_MiB};

enum class pins { short_term, long_term };

// A machine whose CMA area is in use by movable pages, with room for them elsewhere.
struct victim {
  victim() : memory{make_allocator()}, area{memory.cma_areas().front()} {
    std::vector<pfn> elsewhere;
    while (const auto page = memory.alloc(ctx, order{0}, gfp_highuser_movable)) {
      memory.assign(ctx, *page, {.kind = page_kind::shmem});
      const bool inside = area.base <= *page && *page < area.end();
      (inside ? lent : elsewhere).push_back(*page);
    }
    for (std::size_t i = 0; i < elsewhere.size(); i += 2) {
      memory.free(ctx, elsewhere[i], order{0});
    }
    memory.flush_lru_batches();
  }

  static page_allocator make_allocator() {
    const auto map = memory_map::x86_64(1_GiB);
    return page_allocator{{.memory = map,
                           .cma_areas = {place_cma_area(map, {.size = area_size}).value()},
                           // Little is kept free, so that the area can be full.
                           .settings = {.min_free_kbytes = 512}}};
  }

  page_allocator memory;
  cma_area area;
  context ctx;
  std::vector<pfn> lent;
};

struct outcome {
  unsigned granted = 0;
  double in_vain = 0;  // pages moved for ranges that were not had, for a claim
  double ms = 0;       // for a claim
};

outcome attack(const victim& fresh, unsigned pinned, pins how, bytes size, unsigned claims) {
  page_allocator memory = fresh.memory;
  random_stream random{7, "attacker"};
  auto lent = fresh.lent;
  context attacker;
  for (unsigned i = 0; i < pinned && !lent.empty(); ++i) {
    const auto at = random.below(lent.size());
    if (how == pins::short_term) {
      memory.pin(lent[at]);
    } else if (!memory.pin_longterm(attacker, lent[at])) {
      break;
    }
    lent[at] = lent.back();
    lent.pop_back();
  }
  context device;
  unsigned made = 0;
  outcome result;
  const order align{8};  // 1 MiB
  while (made < claims) {
    ++made;
    if (!memory.cma_alloc(device, 0, size.frames(), align)) break;
    ++result.granted;
  }
  result.in_vain = static_cast<double>(memory.cma_counts_of(0).pages_migrated_in_vain) / made;
  result.ms = static_cast<double>(default_costs().price_of(device.done).count()) / 1e9 / made;
  return result;
}

void table(const victim& fresh, pins how) {
  fmt::print("{:>6}", "");
  for (const auto size : claim_sizes) fmt::print("  {:>17} KiB", size.value() >> 10);
  fmt::print("\n{:>6}", "pins");
  for ([[maybe_unused]] const auto size : claim_sizes) {
    fmt::print("  {:>5} {:>6} {:>8}", "got %", "ms", "in vain");
  }
  fmt::print("\n");
  for (const auto pinned : pin_counts) {
    fmt::print("{:>6}", pinned);
    for (const auto size : claim_sizes) {
      const auto all = static_cast<unsigned>(area_size.value() / std::max(size, 1_MiB).value());
      const auto one = attack(fresh, pinned, how, size, all);
      fmt::print("  {:>5} {:>6.2f} {:>8.0f}", one.granted * 100 / all, one.ms, one.in_vain);
    }
    fmt::print("\n");
  }
}

}  // namespace

int main() {
  const victim fresh;
  fmt::print(
      "A CMA area of {} MiB, full of movable pages, of which some are pinned at random. A device\n"
      "claims ranges aligned to 1 MiB and keeps them, until one is refused or the area is used "
      "up.\n"
      "got: of the claims that the area has room for; ms: what a claim took by the default "
      "prices;\n"
      "in vain: pages moved for a claim out of ranges that then were not had.\n",
      area_size.value() >> 20);
  fmt::print("\nPinned as for a short time, by somebody who does not let go:\n\n");
  table(fresh, pins::short_term);
  fmt::print("\nPinned for a long time, and the kernel is told so (FOLL_LONGTERM):\n\n");
  table(fresh, pins::long_term);
}
