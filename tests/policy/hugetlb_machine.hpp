// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// A machine with a pool of huge pages, for its tests.

#include <array>

#include <memsim/alloc/page_allocator.hpp>
#include <memsim/policy/hugetlb.hpp>
#include <memsim/vm/virtual_memory.hpp>

#include "catch.hpp"

namespace memsim::test {

inline constexpr frame_count huge = frames_of(page_size::m2);

struct hugetlb_machine {
  explicit hugetlb_machine(std::uint64_t pages, const hugetlb_config& how = hugetlb_6_1,
                           bytes size = 256_MiB)
      : memory{{.memory = memory_map::x86_64(size)}}, pool{vm, how} {
    CHECK(pool.resize(ctx, pages) == pages);
  }
  // nr, free, resv, surplus
  [[nodiscard]] std::array<std::uint64_t, 4> counts() const {
    const auto& c = pool.counts();
    return {c.total, c.free, c.reserved, c.surplus};
  }
  using are = std::array<std::uint64_t, 4>;

  page_allocator memory;
  virtual_memory vm{memory};
  hugetlb pool;
  context ctx{};
};

using are = hugetlb_machine::are;

inline vpn page(vpn first, std::uint64_t index) { return first + index * huge; }

errc code_of(const auto& failed) {
  REQUIRE_FALSE(failed);
  return failed.error().code();
}

}  // namespace memsim::test
