// SPDX-License-Identifier: Apache-2.0
// The lagging counters in closed form (A13).
#include "alloc/counters.hpp"

#include "catch.hpp"

using memsim::detail::change_lagging;

TEST_CASE("a change made so many times at once is as one after the other", "[alloc][counters]") {
  unsigned differences = 0;
  for (const std::uint32_t threshold : {0u, 1u, 7u, 31u, 125u}) {
    for (const std::int64_t change : {1, -1, 2, -8, 8, 63, -512, 512}) {
      for (const std::int32_t pending : {0, 1, -1, 7, -7, 30, -125, 125, 1000, -1000}) {
        for (std::uint64_t times = 0; times < 300; times += 1 + times / 9) {
          std::int64_t step_global = 5;
          std::int32_t step_pending = pending;
          bool step_changed = false;
          for (std::uint64_t i = 0; i < times; ++i) {
            step_changed |= change_lagging(step_global, step_pending, threshold, change);
          }
          std::int64_t global = 5;
          std::int32_t at_once = pending;
          const bool changed = change_lagging(global, at_once, threshold, change, times);
          differences +=
              global != step_global || at_once != step_pending || changed != step_changed;
        }
      }
    }
  }
  CHECK(differences == 0);
}
