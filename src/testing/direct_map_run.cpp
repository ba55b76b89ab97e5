// SPDX-License-Identifier: Apache-2.0
#include "testing/direct_map_run.hpp"

#include <algorithm>

namespace memsim::testing {

direct_map_run::direct_map_run(std::span<const mapped_run> layout, bytes memory,
                               const recorded_mappings& recorded)
    : memory_{{.memory = memory_map::x86_64(memory)}}, map_{layout, memory_, tlbs_} {
  assume(recorded);
}

void direct_map_run::assume(const recorded_mappings& recorded) {
  const auto now = counters();
  beside_.k4 += recorded.k4 - now.k4;
  beside_.m2 += recorded.m2 - now.m2;
  beside_.g1 += recorded.g1 - now.g1;
  beside_.m2_splits += recorded.m2_splits - now.m2_splits;
  beside_.g1_splits += recorded.g1_splits - now.g1_splits;
}

recorded_mappings direct_map_run::counters() const {
  return {.k4 = map_.mapped().k4 + beside_.k4,
          .m2 = map_.mapped().m2 + beside_.m2,
          .g1 = map_.mapped().g1 + beside_.g1,
          .m2_splits = map_.counts().m2_splits + beside_.m2_splits,
          .g1_splits = map_.counts().g1_splits + beside_.g1_splits};
}

std::expected<void, error> direct_map_run::change(pfn first, frame_count count, mapping_change how,
                                                  change_calls calls) {
  return map_.change(ctx_, first, count, how, calls);
}

digest direct_map_run::state_digest() const {
  digest d;
  d.add(memory_.state_digest().value()).add(map_.state_digest().value());
  return d;
}

}  // namespace memsim::testing
