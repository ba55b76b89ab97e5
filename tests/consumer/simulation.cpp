// SPDX-License-Identifier: Apache-2.0
// A simulation that links memsim::memsim.
#include <fmt/format.h>

#include <memsim/alloc/page_allocator.hpp>

int main() {
  using namespace memsim;

  page_allocator memory{{.memory = memory_map::x86_64(4_GiB)}};
  context ctx;
  const auto block = memory.alloc(ctx, pageblock_order, gfp_highuser_movable);
  if (!block) {
    fmt::print(stderr, "{}\n", block.error());
    return 1;
  }
  fmt::print("huge page at frame {}, digest {}\n", *block, memory.state_digest());
  memory.free(ctx, *block, pageblock_order);
}
