// SPDX-License-Identifier: Apache-2.0
// Blocks of mixed orders come and go at random: a steady state without any structure.
#include <array>
#include <expected>
#include <utility>
#include <vector>

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

class block_churn final : public recipe_course {
 public:
  explicit block_churn(recipe_memory& memory) : memory_{memory}, random_{memory.stream("blocks")} {
    memory.ask_for_room([this] { return drop_turn(); });
  }
  block_churn(const block_churn&) = delete;
  block_churn& operator=(const block_churn&) = delete;
  ~block_churn() override { memory_.ask_for_room({}); }

  std::expected<turn_end, error> turn() override {
    memory_.change_cpu();
    for (unsigned n = 0; n < requests_a_turn; ++n) {
      const auto added = add(drawn_order(memory_, random_));
      if (!added) return std::unexpected{added.error()};
    }
    memory_.change_cpu();
    shrink_to_target();
    if (auto kept = memory_.churn_kernel(memory_.parameter("kernel_churn")); !kept) {
      return std::unexpected{kept.error()};
    }
    return turn_end::may_end;
  }

  void end() override {
    memory_.come_down();
    shrink_to_target();
  }

 private:
  std::expected<void, error> add(order size) {
    if (size > order{0}) {
      if (const auto large = memory_.try_user_block(size, gfp_transhuge_light)) {
        blocks_.push_back(*large);
        return {};
      }
      ++memory_.own_counts().large_requests_failed;
    }
    const auto page = memory_.user_page();
    if (!page) return std::unexpected{page.error()};
    blocks_.push_back(*page);
    return {};
  }

  void shrink_to_target() {
    while (memory_.user() > memory_.user_target() && drop_any()) {
    }
  }

  // As many as are added in a turn; whether there was one.
  bool drop_turn() {
    const bool dropped = drop_any();
    for (unsigned n = 1; n < requests_a_turn; ++n) drop_any();
    return dropped;
  }

  bool drop_any() {
    if (blocks_.empty()) return false;
    std::swap(blocks_[random_.below(blocks_.size())], blocks_.back());
    memory_.free(blocks_.back());
    blocks_.pop_back();
    return true;
  }

  recipe_memory& memory_;
  random_stream random_;
  std::vector<user_block> blocks_;
};

}  // namespace

constinit const recipe_entry order_mixed_churn{
    .description = {.name = "order_mixed_churn",
                    .models = "a steady state: blocks of mixed orders, each replaced at a random "
                              "time by one of a random order",
                    .leaves = "free memory in small blocks all over, as far as the allocator's "
                              "choice of blocks does not keep it together",
                    .parameters = parameters},
    .begin = begin_course<block_churn>};

}  // namespace memsim::detail
