// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// A double-ended queue in a growing circular array: both ends in a few instructions.

#include <algorithm>
#include <cstdint>
#include <memory>
#include <type_traits>
#include <utility>

namespace memsim::detail {

/// Entries have positions, numbered without end modulo 2^32, which stay theirs while others come
/// and go at the ends. Who pushes sees to it that there is room: full(), grow().
template <class T>
class alignas(32) ring {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  using position = std::uint32_t;

  ring() = default;
  ring(const ring& other) : ring{} {
    if (other.capacity_ != 0) resize(other, other.capacity_);
  }
  ring& operator=(const ring& other) {
    if (this != &other) *this = ring{other};
    return *this;
  }
  ring(ring&&) noexcept = default;
  ring& operator=(ring&&) noexcept = default;
  ~ring() = default;

  /// The position of the head, and one past that of the tail.
  [[nodiscard]] position first() const { return first_; }
  [[nodiscard]] position last() const { return last_; }
  [[nodiscard]] T operator[](position p) const { return slots_[p & mask_]; }

  [[nodiscard]] bool empty() const { return first_ == last_; }
  [[nodiscard]] std::uint32_t size() const { return last_ - first_; }
  [[nodiscard]] std::uint32_t capacity() const { return capacity_; }
  [[nodiscard]] bool full() const { return size() == capacity_; }

  /// To the head of a ring that is not full.
  /// \return the position
  position push_front(T entry) {
    slots_[--first_ & mask_] = entry;
    return first_;
  }
  /// To the tail of a ring that is not full.
  position push_back(T entry) {
    slots_[last_ & mask_] = entry;
    return last_++;
  }
  /// entry(0), entry(1), ... to the tail of a ring that has room for `count` more.
  template <class Entry>
  void append(std::uint32_t count, Entry entry) {
    // In registers: what entry() writes might else be taken for a part of the ring.
    T* const slots = slots_.get();
    const std::uint32_t mask = mask_;
    const position last = last_;
    for (std::uint32_t i = 0; i < count; ++i) slots[(last + i) & mask] = entry(i);
    last_ = last + count;
  }
  // From a ring that is not empty.
  T pop_front() { return slots_[first_++ & mask_]; }
  T pop_back() { return slots_[--last_ & mask_]; }

  void clear() { first_ = last_; }

  /// Doubles the capacity. Positions stay.
  void grow() { resize(*this, std::max<std::uint32_t>(first_capacity, 2 * capacity_)); }
  /// Room for so many more entries.
  void reserve_more(std::uint32_t entries) {
    while (capacity_ - size() < entries) grow();
  }

  /// Keeps the entries for which keeps(position, entry) is true, in order, and tells each one's new
  /// position to move(entry, position).
  template <class Keeps, class Move>
  void compact(Keeps keeps, Move move) {
    position kept = first_;
    for (position p = first_; p != last_; ++p) {
      const T entry = (*this)[p];
      if (!keeps(p, entry)) continue;
      slots_[kept & mask_] = entry;
      move(entry, kept++);
    }
    last_ = kept;
  }

 private:
  static constexpr std::uint32_t first_capacity = 16;

  // Becomes a copy of `other`, which may be this ring, with this capacity.
  void resize(const ring& other, std::uint32_t capacity) {
    auto slots = std::make_unique_for_overwrite<T[]>(capacity);
    for (position p = other.first_; p != other.last_; ++p) slots[p & (capacity - 1)] = other[p];
    first_ = other.first_;
    last_ = other.last_;
    slots_ = std::move(slots);
    capacity_ = capacity;
    mask_ = capacity - 1;
  }

  std::unique_ptr<T[]> slots_;  // made when first needed
  std::uint32_t capacity_ = 0;  // a power of two, or none yet
  std::uint32_t mask_ = 0;      // the capacity less one
  position first_ = 0;
  position last_ = 0;
};

}  // namespace memsim::detail
