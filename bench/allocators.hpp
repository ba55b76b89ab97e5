// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The allocators that are measured, behind the interface that the harness asks for.

#include <cstdint>

#include <memsim/core/types.hpp>

#include "harness.hpp"
#include "textbook_buddy.hpp"

namespace memsim::bench {

class textbook {
 public:
  static constexpr double bytes_per_frame = sizeof(textbook_buddy::page);

  explicit textbook(bytes memory) : memory_{memory.frames()} {}

  std::uint64_t alloc(unsigned order) { return memory_.alloc(order); }
  void free(std::uint64_t frame, unsigned order) { memory_.free(frame, order); }

 private:
  textbook_buddy memory_;
};

static_assert(textbook_buddy::none == no_block);

/// Gives out nothing at no cost: what remains is the harness. The compiler is kept from seeing it.
class nothing {
 public:
  static constexpr double bytes_per_frame = 0;

  explicit nothing(bytes) {}

  std::uint64_t alloc(unsigned order) {
    std::uint64_t frame = 0;
    asm volatile("" : "+r"(frame) : "r"(order));
    return frame;
  }
  void free(std::uint64_t frame, unsigned order) {
    asm volatile("" : : "r"(frame), "r"(order) : "memory");
  }
};

}  // namespace memsim::bench
