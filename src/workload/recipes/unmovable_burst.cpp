// SPDX-License-Identifier: Apache-2.0
// The kernel suddenly needs much of a memory that files have filled, and soon gives most of it
// back.
#include <array>
#include <cstdint>
#include <expected>

#include "workload/recipe_memory.hpp"

namespace memsim::detail {
namespace {

constexpr std::array parameters{
    recipe_parameter{"burst", "1", 0.2, 0.01, 0.8, rule::off,
                     "part of memory that the kernel takes in a burst, above what it keeps"},
};

/// Pages read, or objects of the kernel added, in a turn.
constexpr unsigned requests_a_turn = 64;

class bursts final : public recipe_course {
 public:
  explicit bursts(recipe_memory& memory) : memory_{memory} { memory_.come_down(); }

  std::expected<turn_end, error> turn() override {
    const auto done = bursting_ ? burst() : fill();
    if (!done) return std::unexpected{done.error()};
    if (!*done) return turn_end::goes_on;
    bursting_ = !bursting_;
    begun_ = false;
    if (bursting_) return turn_end::goes_on;
    memory_.shrink_kernel_to_target();
    memory_.evict_to_target();
    return turn_end::may_end;
  }

  void end() override {}

 private:
  // Files are read until others have to make room for them. Whether that is so.
  std::expected<bool, error> fill() {
    begin([&] { evicted_ = memory_.evicted(); });
    for (unsigned n = 0; n < requests_a_turn && memory_.evicted() == evicted_; ++n) {
      if (auto read = memory_.read_once(); !read) return std::unexpected{read.error()};
    }
    return memory_.evicted() != evicted_;
  }

  // Everything that the kernel takes now, files make room for. Whether it has all.
  std::expected<bool, error> burst() {
    begin([&] {
      peak_ = memory_.kernel() + static_cast<frame_count>(memory_.parameter("burst") *
                                                          static_cast<double>(memory_.managed()));
    });
    for (unsigned n = 0; n < requests_a_turn && memory_.kernel() < peak_; ++n) {
      if (auto added = memory_.add_kernel_object(); !added) return std::unexpected{added.error()};
    }
    return memory_.kernel() >= peak_;
  }

  void begin(auto phase) {
    if (begun_) return;
    begun_ = true;
    memory_.change_cpu();
    phase();
  }

  recipe_memory& memory_;
  bool bursting_ = false;
  bool begun_ = false;  // what is done now
  std::uint64_t evicted_ = 0;
  frame_count peak_ = 0;
};

}  // namespace

constinit const recipe_entry unmovable_burst{
    .description = {.name = "unmovable_burst",
                    .models = "memory full of files when the kernel suddenly needs a large part of "
                              "it (a walk over a file system, a driver) and frees most of it again",
                    .leaves = "kernel pages scattered over many pageblocks that they took from "
                              "files",
                    .parameters = parameters},
    .begin = begin_course<bursts>};

}  // namespace memsim::detail
