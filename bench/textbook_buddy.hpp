// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The buddy allocator of the textbooks, to have something to be compared with.
///
/// An array of 24-byte page descriptors, one doubly linked list of free blocks per order, split on
/// the way down and merge on the way up: what a course teaches and what most simulators use. It
/// has no per-CPU cache, no zones, no types, no checks, and nothing is slow on purpose: heads are
/// inserted and unlinked in constant time, and all of it can be inlined into the caller.

#include <array>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>

namespace memsim::bench {

class textbook_buddy {
 public:
  static constexpr unsigned orders = 11;
  static constexpr std::uint64_t none = ~std::uint64_t{0};

  struct page {
    page* next;
    page* previous;
    std::uint32_t order;
    std::uint32_t free;
  };
  static_assert(sizeof(page) == 24);

  /// \param frames  a multiple of the largest block, 1024 frames
  explicit textbook_buddy(std::uint64_t frames)
      : frames_{frames}, pages_{static_cast<page*>(std::calloc(frames, sizeof(page)))} {
    if (!pages_) throw std::bad_alloc{};
    for (page& head : heads_) head.next = head.previous = &head;
    const std::uint64_t largest = std::uint64_t{1} << (orders - 1);
    for (std::uint64_t frame = frames; frame != 0; frame -= largest) {
      put(frame - largest, orders - 1);  // the lowest block ends up at the head
    }
  }

  // The list heads are part of the rings.
  textbook_buddy(const textbook_buddy&) = delete;
  textbook_buddy& operator=(const textbook_buddy&) = delete;

  /// The first frame of a block of 2^order frames, or none.
  std::uint64_t alloc(unsigned order) {
    unsigned found = order;
    while (found < orders && is_empty(found)) ++found;
    if (found >= orders) return none;

    page* const block = heads_[found].next;
    take(*block);
    const auto frame = static_cast<std::uint64_t>(block - pages_.get());
    while (found > order) {
      --found;
      put(frame + (std::uint64_t{1} << found), found);  // the upper half goes back
    }
    block->order = order;
    return frame;
  }

  /// Gives back a block that alloc(order) returned.
  void free(std::uint64_t frame, unsigned order) {
    while (order < orders - 1) {
      const std::uint64_t buddy = frame ^ (std::uint64_t{1} << order);
      if (buddy >= frames_) break;
      page& other = pages_.get()[buddy];
      if (!other.free || other.order != order) break;
      take(other);
      frame &= ~(std::uint64_t{1} << order);
      ++order;
    }
    put(frame, order);
  }

 private:
  struct release {
    void operator()(page* pages) const { std::free(pages); }
  };

  [[nodiscard]] bool is_empty(unsigned order) const { return heads_[order].next == &heads_[order]; }

  /// Puts a block at the head of its order's list.
  void put(std::uint64_t frame, unsigned order) {
    page& block = pages_.get()[frame];
    page& head = heads_[order];
    block.order = order;
    block.free = 1;
    block.next = head.next;
    block.previous = &head;
    head.next->previous = &block;
    head.next = &block;
  }

  /// Takes a block off its list.
  static void take(page& block) {
    block.next->previous = block.previous;
    block.previous->next = block.next;
    block.free = 0;
  }

  std::uint64_t frames_;
  std::unique_ptr<page[], release> pages_;
  std::array<page, orders> heads_{};
};

}  // namespace memsim::bench
