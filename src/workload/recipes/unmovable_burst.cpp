// SPDX-License-Identifier: Apache-2.0
// The kernel suddenly needs much of a memory that files have filled, and soon gives most of it
// back.
#include <array>
#include <expected>

#include "workload/recipe_memory.hpp"

namespace memsim::detail {
namespace {

constexpr std::array parameters{
    recipe_parameter{"burst", "1", 0.2, 0.01, 0.8, rule::off,
                     "part of memory that the kernel takes in a burst, above what it keeps"},
};

/// Files are read until others have to make room for them.
std::expected<void, error> fill(recipe_memory& memory) {
  const auto evicted = memory.evicted();
  while (memory.evicted() == evicted) {
    if (auto read = memory.read_once(); !read) return read;
  }
  return {};
}

/// Everything that the kernel takes now, files make room for.
std::expected<void, error> burst(recipe_memory& memory) {
  const auto peak =
      memory.kernel() +
      static_cast<frame_count>(memory.parameter("burst") * static_cast<double>(memory.managed()));
  while (memory.kernel() < peak) {
    if (auto added = memory.add_kernel_object(); !added) return added;
  }
  return {};
}

std::expected<void, error> run(recipe_memory& memory) {
  memory.come_down();
  do {
    memory.change_cpu();
    if (auto filled = fill(memory); !filled) return filled;
    memory.change_cpu();
    if (auto done = burst(memory); !done) return done;
    memory.shrink_kernel_to_target();
    memory.evict_to_target();
  } while (!memory.aged());
  return {};
}

}  // namespace

constinit const recipe_entry unmovable_burst{
    .description = {.name = "unmovable_burst",
                    .models = "memory full of files when the kernel suddenly needs a large part of "
                              "it (a walk over a file system, a driver) and frees most of it again",
                    .leaves = "kernel pages scattered over many pageblocks that they took from "
                              "files",
                    .parameters = parameters},
    .run = run};

}  // namespace memsim::detail
