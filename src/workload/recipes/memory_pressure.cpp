// SPDX-License-Identifier: Apache-2.0
// Processes need more than there is: what is used least goes to swap, and comes back elsewhere.
#include <algorithm>
#include <array>
#include <cstdint>
#include <expected>

#include "workload/recipe_memory.hpp"

namespace memsim::detail {
namespace {

constexpr std::array parameters{
    recipe_parameter{"overcommit", "1", 1.5, 1.1, 16, rule::off,
                     "memory of processes as a multiple of what they may have of the machine's"},
    recipe_parameter{"hot_share", "1", 0.2, 0.01, 0.9, rule::off,
                     "part of their memory that they use often"},
    recipe_parameter{"hot_touches", "1", 0.8, 0, 0.95, rule::off,
                     "part of their touches that go there"},
    recipe_parameter{"swap_readahead", "pages", 8, 1, 64, rule::on,
                     "neighbours that are read back from swap together"},
    recipe_parameter{"kernel_churn", "pages", 10, 0, 1000, rule::off,
                     "kernel pages replaced for a thousand pages touched first or read back"},
};

/// Pages touched between two looks at the kernel's part and the memory in use.
constexpr unsigned touches_a_turn = 64;

class swapping_processes final : public recipe_course {
 public:
  explicit swapping_processes(recipe_memory& memory)
      : memory_{memory},
        random_{memory.stream("touches")},
        pages_{std::max<frame_count>(
            2, static_cast<frame_count>(memory.parameter("overcommit") *
                                        static_cast<double>(memory.user_target())))},
        hot_{std::max<frame_count>(1, static_cast<frame_count>(memory.parameter("hot_share") *
                                                               static_cast<double>(pages_)))} {
    memory.give_swap(pages_);
  }

  /// Everything is touched once, in the order of addresses, as programs start; then by use.
  std::expected<turn_end, error> turn() override {
    if (begun_ < pages_) {
      const auto page = begun_;
      begun_ += memory_.whole("swap_readahead");
      if (auto in = bring_in(page); !in) return std::unexpected{in.error()};
      return begun_ < pages_ ? turn_end::goes_on : turn_end::may_end;
    }
    memory_.change_cpu();
    for (unsigned n = 0; n < touches_a_turn; ++n) {
      if (auto touched = touch(draw()); !touched) return std::unexpected{touched.error()};
    }
    return turn_end::may_end;
  }

  void end() override {
    memory_.come_down();
    memory_.evict_to_target();
  }

 private:
  // Hot pages are one in so many, spread evenly over the address space.
  frame_count draw() {
    if (random_.chance(memory_.parameter("hot_touches"))) {
      return random_.below(hot_) * pages_ / hot_;
    }
    return random_.below(pages_);
  }

  std::expected<void, error> touch(frame_count page) {
    return memory_.is_in_memory(page) ? memory_.touch(page) : bring_in(page);
  }

  // Modelling assumption: what is read ahead is used.
  std::expected<void, error> bring_in(frame_count page) {
    const auto count = memory_.whole("swap_readahead");
    const auto begin = page / count * count;
    const auto end = std::min(begin + count, pages_);
    for (auto p = begin; p < end; ++p) {
      if (memory_.is_in_memory(p)) continue;
      if (auto in = memory_.touch(p); !in) return in;
    }
    memory_.evict_to_target();
    return memory_.churn_kernel(memory_.parameter("kernel_churn"));
  }

  recipe_memory& memory_;
  random_stream random_;
  frame_count pages_;
  frame_count hot_;
  frame_count begun_ = 0;  // touched for the first time
};

}  // namespace

constinit const recipe_entry memory_pressure{
    .description = {.name = "memory_pressure",
                    .models = "processes that need more than there is: pages not used for long go "
                              "to swap and come back, with their neighbours, to other frames",
                    .leaves = "free memory in single pages and small runs, wherever the least used "
                              "pages were",
                    .parameters = parameters},
    .begin = begin_course<swapping_processes>};

}  // namespace memsim::detail
