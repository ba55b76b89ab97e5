// SPDX-License-Identifier: Apache-2.0
// The classical way to fragment memory: take all of it page by page, and give back pages at random.
#include <expected>

#include "workload/recipe_memory.hpp"

namespace memsim::detail {
namespace {

/// Who asks for the next page is drawn; nothing is evicted, and so the first failure is the end.
std::expected<void, error> fill(recipe_memory& memory, random_stream& random) {
  const auto kernel_part = memory.plan().unmovable_share;
  for (;;) {
    if (kernel_part > 0 && random.chance(kernel_part)) {
      if (auto added = memory.add_kernel_object(order{0}); !added) return added;
    } else if (!memory.cache_block(order{0}, gfp_highuser_movable)) {
      return {};
    }
  }
}

std::expected<void, error> run(recipe_memory& memory) {
  auto random = memory.stream("pages");
  memory.come_down();
  do {
    memory.change_cpu();
    if (auto filled = fill(memory, random); !filled) return filled;
    if (memory.user() <= memory.user_target()) return {};  // there is nothing to free
    memory.change_cpu();
    while (memory.user() > memory.user_target()) memory.evict_any(random);
    memory.shrink_kernel_to_target();
  } while (!memory.aged());
  return {};
}

}  // namespace

constinit const recipe_entry fill_shuffle_free{
    .description = {.name = "fill_shuffle_free",
                    .models = "memory filled page by page, users and kernel mixed at random, and "
                              "freed in random order: the textbook's fragmentation",
                    .leaves = "free memory in single pages all over, kernel pages grouped as the "
                              "allocator grouped them",
                    .parameters = {}},
    .run = run};

}  // namespace memsim::detail
