// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// What every allocator is put through, whichever it is.
///
/// The harness is meant to cost next to nothing, so that what is timed is the allocator: blocks in
/// use are 64-bit entries of a flat array, random numbers take a few instructions, and the array
/// is prefetched some pairs ahead. No allocator's own memory is ever touched from here. The slots
/// and orders that are drawn depend on the seed alone: all allocators get the same ones, also
/// where one of them fails a request that another serves.

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <span>
#include <utility>

#include <sys/mman.h>

#include <memsim/core/types.hpp>

namespace memsim::bench {

/// What an allocator returns when it has no block.
inline constexpr std::uint64_t no_block = ~std::uint64_t{0};

/// Frames are plain numbers here, so that a pair costs every allocator the same conversions.
template <class T>
concept allocator = requires(T memory, std::uint64_t frame, unsigned order) {
  T{bytes{}};
  { memory.alloc(order) } -> std::same_as<std::uint64_t>;
  memory.free(frame, order);
};

/// SplitMix64. memsim's own streams are portable to the last bit of every distribution, and slower.
class fast_random {
 public:
  std::uint64_t operator()() {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }

  /// Maps the lower 32 bits to [0, bound) without a division.
  static constexpr std::uint32_t scale(std::uint64_t bits, std::size_t bound) {
    return static_cast<std::uint32_t>((bits & 0xffffffff) * bound >> 32);
  }

 private:
  std::uint64_t state_ = 1;
};

/// Every request is for one frame.
struct order0_mix {
  static constexpr unsigned order_of(std::uint64_t) { return 0; }
};

/// 90 % order 0, 8 % orders 1 to 3 in equal parts, 2 % order 9.
struct mixed_mix {
  static constexpr unsigned order_of(std::uint64_t bits) {
    return table[fast_random::scale(bits, table.size())];
  }

  static constexpr auto table = [] {
    std::array<std::uint8_t, 300> orders{};  // the first 270 are order 0
    std::size_t end = 270;
    for (const auto& [order, entries] : {std::pair{1, 8}, {2, 8}, {3, 8}, {9, 6}}) {
      for (int i = 0; i < entries; ++i) orders[end++] = static_cast<std::uint8_t>(order);
    }
    return orders;
  }();
};

// A block in use is one word: its first frame and its order.
constexpr std::uint64_t pack(std::uint64_t frame, unsigned order) { return frame << 4 | order; }
constexpr std::uint64_t frame_of(std::uint64_t block) { return block >> 4; }
constexpr unsigned order_of(std::uint64_t block) { return block & 0xf; }

template <allocator Allocator>
std::uint64_t get(Allocator& memory, unsigned order) {
  const std::uint64_t frame = memory.alloc(order);
  return frame == no_block ? no_block : pack(frame, order);
}

/// Words for blocks in use, all no_block, in huge pages if the host has them: the fewer TLB entries
/// the harness needs, the more are left to the allocator.
class slot_array {
 public:
  explicit slot_array(std::size_t size) : size_{size} {
    constexpr std::size_t huge_page = 2 << 20;
    const std::size_t bytes =
        (size * sizeof(std::uint64_t) + huge_page - 1) / huge_page * huge_page;
    words_.reset(static_cast<std::uint64_t*>(std::aligned_alloc(huge_page, bytes)));
    if (!words_) throw std::bad_alloc{};
    madvise(words_.get(), bytes, MADV_HUGEPAGE);
    std::uninitialized_fill_n(words_.get(), size, no_block);
  }

  [[nodiscard]] std::span<std::uint64_t> all() { return {words_.get(), size_}; }

 private:
  struct release {
    void operator()(std::uint64_t* words) const { std::free(words); }
  };

  std::size_t size_;
  std::unique_ptr<std::uint64_t[], release> words_;
};

/// Memory that is 80 % full, and in which blocks come and go at random.
///
/// A pair gives back the block of a random slot and asks for another one to put there. A slot whose
/// request failed stays empty until it is drawn again; then there is nothing to give back.
template <allocator Allocator, class Mix>
class churn {
 public:
  /// \param slots  slots_for() of them, all empty
  churn(Allocator& memory, std::span<std::uint64_t> slots) : memory_{memory}, slots_{slots} {
    fast_random orders;
    for (auto& slot : slots_) slot = get(memory_, Mix::order_of(orders() >> 32));
    for (auto& draw : ahead_) draw = random_();
  }

  /// So many blocks of the mix are 80 % of the memory.
  [[nodiscard]] static std::size_t slots_for(bytes memory) {
    const frame_count wanted = memory.frames() / 5 * 4;
    fast_random orders;
    std::size_t slots = 0;
    for (frame_count used = 0; used < wanted; ++slots) {
      used += frame_count{1} << Mix::order_of(orders() >> 32);
    }
    return slots;
  }

  [[gnu::noinline]] void run(std::uint64_t pairs) {
    const std::size_t slots = slots_.size();
    for (; pairs != 0; --pairs) {
      std::uint64_t& oldest = ahead_[done_++ % ahead_.size()];
      const std::uint64_t draw = std::exchange(oldest, random_());
      __builtin_prefetch(&slots_[fast_random::scale(oldest, slots)], 1);

      std::uint64_t& slot = slots_[fast_random::scale(draw, slots)];
      if (slot != no_block) memory_.free(frame_of(slot), order_of(slot));
      slot = get(memory_, Mix::order_of(draw >> 32));
      failed_ += slot == no_block;
    }
  }

  /// Pairs whose request failed.
  [[nodiscard]] std::uint64_t failed() const { return failed_; }

 private:
  Allocator& memory_;
  std::span<std::uint64_t> slots_;
  fast_random random_;
  std::array<std::uint64_t, 16> ahead_{};  // draws whose slots are being prefetched
  std::uint64_t done_ = 0;
  std::uint64_t failed_ = 0;
};

/// All memory taken frame by frame, then given back in random order.
template <allocator Allocator>
class drain {
 public:
  drain(Allocator& memory, std::span<std::uint64_t> slots) : memory_{memory}, slots_{slots} {}

  [[nodiscard]] static std::size_t slots_for(bytes memory) { return memory.frames(); }

  /// Takes frames until there are none.
  [[gnu::noinline]] void fill() {
    std::size_t taken = 0;
    while (taken < slots_.size() && (slots_[taken] = get(memory_, 0)) != no_block) ++taken;
    taken_ = taken;
  }

  void shuffle() {
    for (std::size_t n = taken_; n > 1; --n) {
      std::swap(slots_[n - 1], slots_[fast_random::scale(random_(), n)]);
    }
  }

  [[gnu::noinline]] void empty() {
    for (std::size_t i = 0; i < taken_; ++i) memory_.free(frame_of(slots_[i]), 0);
  }

  /// Frames that the last fill() got.
  [[nodiscard]] std::size_t taken() const { return taken_; }

 private:
  Allocator& memory_;
  std::span<std::uint64_t> slots_;
  fast_random random_;
  std::size_t taken_ = 0;
};

}  // namespace memsim::bench
