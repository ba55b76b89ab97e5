// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The allocators that are measured, behind the interface that the harness asks for.

#include <cstdint>

#include <memsim/alloc/page_allocator.hpp>
#include <memsim/core/types.hpp>
#include <memsim/frames/frame_table.hpp>

#include "harness.hpp"
#include "textbook_buddy.hpp"

namespace memsim::bench {

/// One CPU, the default profile, no observer; every request is for movable user memory.
class linux_like {
 public:
  explicit linux_like(bytes memory) : memory_{{.memory = memory_map::x86_64(memory)}} {}

  std::uint64_t alloc(unsigned size) {
    const auto block = memory_.alloc(context_, order{size}, gfp_highuser_movable);
    return block ? block->value() : no_block;
  }
  void free(std::uint64_t frame, unsigned size) { memory_.free(context_, pfn{frame}, order{size}); }

  /// The frame table's, as if every frame had been a free block's head, and that of the lists.
  [[nodiscard]] double bytes_per_frame() const {
    std::uint64_t lists = 0;
    std::uint64_t frames = 0;
    for (const zone& z : memory_.zones()) {
      frames += z.extent.managed;
      for (const auto& list : z.lists) lists += list.capacity() * sizeof(std::uint32_t);
      for (const auto& pcp : z.cpus) {
        for (const auto& list : pcp.lists) lists += list.capacity() * sizeof(detail::packed_page);
      }
    }
    return frame_table::bytes_per_frame + static_cast<double>(lists) / static_cast<double>(frames);
  }

 private:
  page_allocator memory_;
  context context_;
};

class textbook {
 public:
  explicit textbook(bytes memory) : memory_{memory.frames()} {}

  std::uint64_t alloc(unsigned order) { return memory_.alloc(order); }
  void free(std::uint64_t frame, unsigned order) { memory_.free(frame, order); }

  [[nodiscard]] static double bytes_per_frame() { return sizeof(textbook_buddy::page); }

 private:
  textbook_buddy memory_;
};

static_assert(textbook_buddy::none == no_block);

/// Gives out nothing at no cost: what remains is the harness. The compiler is kept from seeing it.
class nothing {
 public:
  explicit nothing(bytes) {}

  std::uint64_t alloc(unsigned order) {
    std::uint64_t frame = 0;
    asm volatile("" : "+r"(frame) : "r"(order));
    return frame;
  }
  void free(std::uint64_t frame, unsigned order) {
    asm volatile("" : : "r"(frame), "r"(order) : "memory");
  }

  [[nodiscard]] static double bytes_per_frame() { return 0; }
};

}  // namespace memsim::bench
