// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// A list of blocks as a growing ring: both ends in a few instructions, no per-frame memory
/// touched.

#include <cstdint>
#include <memory>

#include <memsim/alloc/migratetype.hpp>

namespace memsim::detail {

/// A frame number and a migratetype in one word.
class packed_page {
 public:
  constexpr packed_page() = default;
  constexpr packed_page(std::uint32_t frame, migratetype type)
      : word_{std::uint64_t{frame} << 3 | static_cast<unsigned>(type)} {}

  [[nodiscard]] constexpr std::uint32_t frame() const {
    return static_cast<std::uint32_t>(word_ >> 3);
  }
  [[nodiscard]] constexpr migratetype type() const { return static_cast<migratetype>(word_ & 7); }
  friend constexpr bool operator==(packed_page, packed_page) = default;

 private:
  std::uint64_t word_ = 0;
};

/// A double-ended queue of pages; index 0 is the head.
class alignas(32) page_ring {
 public:
  page_ring() : slots_{std::make_unique<packed_page[]>(first_capacity)} {}
  page_ring(const page_ring& other);
  page_ring& operator=(const page_ring& other);
  page_ring(page_ring&&) noexcept = default;
  page_ring& operator=(page_ring&&) noexcept = default;
  ~page_ring() = default;

  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] std::uint32_t size() const { return size_; }
  [[nodiscard]] packed_page operator[](std::uint32_t i) const {
    return slots_[(head_ + i) & mask_];
  }

  /// Whether the next page needs reserve_slot() first.
  [[nodiscard]] bool full() const { return size_ > mask_; }
  void reserve_slot() {
    if (full()) grow();
  }
  /// To the head of a ring that is not full.
  void push_front_unchecked(packed_page page) {
    head_ = (head_ - 1) & mask_;
    slots_[head_] = page;
    ++size_;
  }
  void push_back(packed_page page) {
    reserve_slot();
    slots_[(head_ + size_) & mask_] = page;
    ++size_;
  }
  packed_page pop_front() {
    const auto page = slots_[head_];
    head_ = (head_ + 1) & mask_;
    --size_;
    return page;
  }
  packed_page pop_back() {
    --size_;
    return slots_[(head_ + size_) & mask_];
  }

 private:
  static constexpr std::uint32_t first_capacity = 16;

  // The same pages in `capacity` slots, from slot 0.
  [[nodiscard]] std::unique_ptr<packed_page[]> copy_of_slots(std::uint32_t capacity) const;
  [[gnu::noinline, gnu::cold]] void grow();

  std::unique_ptr<packed_page[]> slots_;
  std::uint32_t mask_ = first_capacity - 1;  // the capacity, a power of two, less one
  std::uint32_t head_ = 0;
  std::uint32_t size_ = 0;
};

}  // namespace memsim::detail
