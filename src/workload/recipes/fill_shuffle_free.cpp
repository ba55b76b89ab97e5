// SPDX-License-Identifier: Apache-2.0
// The classical way to fragment memory: take all of it page by page, and give back pages at random.
#include <expected>
#include <utility>
#include <vector>

#include "workload/recipe_memory.hpp"

namespace memsim::detail {
namespace {

/// Pages that are taken in a turn.
constexpr unsigned pages_a_turn = 64;

class shuffle final : public recipe_course {
 public:
  explicit shuffle(recipe_memory& memory) : memory_{memory}, random_{memory.stream("pages")} {
    memory_.come_down();
  }

  std::expected<turn_end, error> turn() override {
    if (!filling_) memory_.change_cpu();
    filling_ = fill();
    if (filling_) return turn_end::goes_on;
    if (memory_.user() <= memory_.user_target()) return turn_end::is_over;  // nothing to free
    memory_.change_cpu();
    while (memory_.user() > memory_.user_target()) free_any();
    memory_.shrink_kernel_to_target();
    return turn_end::may_end;
  }

  void end() override {}

 private:
  // Who asks for the next page is drawn; nobody makes room, and so the first failure is the end.
  // Whether there was none.
  bool fill() {
    const auto kernel_part = memory_.plan().unmovable_share;
    for (unsigned n = 0; n < pages_a_turn; ++n) {
      if (kernel_part > 0 && random_.chance(kernel_part)) {
        if (!memory_.add_kernel_object(order{0})) return false;
      } else if (const auto page = memory_.try_user_block(order{0}, gfp_highuser_movable)) {
        pages_.push_back(*page);
      } else {
        return false;
      }
    }
    return true;
  }

  void free_any() {
    std::swap(pages_[random_.below(pages_.size())], pages_.back());
    memory_.free(pages_.back());
    pages_.pop_back();
  }

  recipe_memory& memory_;
  random_stream random_;
  std::vector<user_block> pages_;
  bool filling_ = false;
};

}  // namespace

constinit const recipe_entry fill_shuffle_free{
    .description = {.name = "fill_shuffle_free",
                    .models = "memory filled page by page, users and kernel mixed at random, and "
                              "freed in random order: the textbook's fragmentation",
                    .leaves = "free memory in single pages all over, kernel pages grouped as the "
                              "allocator grouped them",
                    .parameters = {}},
    .begin = begin_course<shuffle>};

}  // namespace memsim::detail
