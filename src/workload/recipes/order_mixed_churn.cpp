// SPDX-License-Identifier: Apache-2.0
// Blocks of mixed orders come and go at random: a steady state without any structure.
#include <array>
#include <expected>

#include "workload/recipe_memory.hpp"

namespace memsim::detail {
namespace {

constexpr std::array parameters{
    recipe_parameter{"large_share", "1", 0.08, 0, 0.5, rule::off,
                     "part of the requests that are of orders 1 to 3, in equal parts"},
    recipe_parameter{"huge_share", "1", 0.001, 0, 0.5, rule::off,
                     "part of the requests that are of order 9"},
    recipe_parameter{"kernel_churn", "pages", 100, 0, 1000, rule::off,
                     "kernel pages replaced for a thousand pages allocated"},
};

/// Requests between two looks at the kernel's part and the memory in use.
constexpr unsigned requests_a_turn = 64;

order drawn_order(const recipe_memory& memory, random_stream& random) {
  const auto huge = memory.parameter("huge_share");
  const auto draw = random.unit();
  if (draw < huge) return pageblock_order;
  if (draw < huge + memory.parameter("large_share")) {
    return order{1 + static_cast<unsigned>(random.below(3))};
  }
  return order{0};
}

std::expected<void, error> add_block(recipe_memory& memory, order size) {
  if (size > order{0}) {
    if (memory.cache_block(size, gfp_transhuge_light)) return {};
    ++memory.counts().large_requests_failed;
  }
  return memory.cache_page();
}

void shrink_to_target(recipe_memory& memory, random_stream& random) {
  while (memory.user() > memory.user_target()) memory.evict_any(random);
}

std::expected<void, error> run(recipe_memory& memory) {
  auto random = memory.stream("blocks");
  while (!memory.aged()) {
    memory.change_cpu();
    for (unsigned n = 0; n < requests_a_turn; ++n) {
      if (auto added = add_block(memory, drawn_order(memory, random)); !added) return added;
    }
    memory.change_cpu();
    shrink_to_target(memory, random);
    if (auto kept = memory.churn_kernel(memory.parameter("kernel_churn")); !kept) return kept;
  }
  memory.come_down();
  shrink_to_target(memory, random);
  return {};
}

}  // namespace

constinit const recipe_entry order_mixed_churn{
    .description = {.name = "order_mixed_churn",
                    .models = "a steady state: blocks of mixed orders, each replaced at a random "
                              "time by one of a random order",
                    .leaves = "free memory in small blocks all over, as far as the allocator's "
                              "choice of blocks does not keep it together",
                    .parameters = parameters},
    .run = run};

}  // namespace memsim::detail
