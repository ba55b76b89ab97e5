// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The units everything else is counted in: page frame numbers, orders, bytes, CPUs.
///
/// They are types of their own because an order is not a frame count and a frame count is not a
/// number of bytes; mixing them is the commonest bug of a memory simulator, and here it does not
/// compile.

#include <array>
#include <compare>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include <memsim/core/format.hpp>

namespace memsim {

/// A number of 4 KiB page frames.
using frame_count = std::uint64_t;

/// Bytes in a page frame. memsim models x86-64 and keeps the one base page size.
inline constexpr std::uint64_t page_bytes = 4096;

/// A page frame number: a physical address divided by the page size.
class pfn {
 public:
  constexpr pfn() = default;
  constexpr explicit pfn(std::uint64_t value) : value_{value} {}

  [[nodiscard]] constexpr std::uint64_t value() const { return value_; }
  /// The first address of the frame.
  [[nodiscard]] constexpr std::uint64_t address() const { return value_ * page_bytes; }

  constexpr pfn& operator+=(frame_count frames) {
    value_ += frames;
    return *this;
  }
  constexpr pfn& operator++() { return *this += 1; }

  friend constexpr pfn operator+(pfn p, frame_count frames) { return pfn{p.value_ + frames}; }
  friend constexpr pfn operator-(pfn p, frame_count frames) { return pfn{p.value_ - frames}; }
  /// Frames from `b` up to `a`; `a` must not be below `b`.
  friend constexpr frame_count operator-(pfn a, pfn b) { return a.value_ - b.value_; }
  friend constexpr auto operator<=>(pfn, pfn) = default;

 private:
  std::uint64_t value_ = 0;
};

/// log2 of the size of a block of frames.
///
/// Any order below 64 can be named; which orders an allocator serves is the allocator's business
/// (see max_page_order).
class order {
 public:
  constexpr order() = default;
  /// \throws usage_error if `value` is 64 or more: no such block fits an address space
  constexpr explicit order(unsigned value) : value_{static_cast<std::uint8_t>(value)} {
    if (value >= 64) detail_refuse(value);
  }

  [[nodiscard]] constexpr unsigned value() const { return value_; }
  /// Frames in a block of this order.
  [[nodiscard]] constexpr frame_count frames() const { return frame_count{1} << value_; }

  friend constexpr auto operator<=>(order, order) = default;

 private:
  [[noreturn]] static void detail_refuse(unsigned value);

  std::uint8_t value_ = 0;
};

/// The largest block of the page allocator: order 10, 4 MiB.
inline constexpr order max_page_order{10};
/// How many orders the page allocator serves: 0 to 10.
inline constexpr unsigned page_orders = max_page_order.value() + 1;
/// A pageblock, the unit in which memory is grouped by mobility: order 9, 2 MiB.
inline constexpr order pageblock_order{9};
inline constexpr frame_count pageblock_frames = pageblock_order.frames();

/// The sizes in which x86-64 maps memory. The larger the page, the fewer of them a TLB needs.
enum class page_size : unsigned char {
  k4,  ///< 4 KiB, mapped by an entry of the lowest page table
  m2,  ///< 2 MiB
  g1,  ///< 1 GiB, where the CPU has it
};

inline constexpr unsigned page_sizes = 3;
inline constexpr std::array all_page_sizes{page_size::k4, page_size::m2, page_size::g1};

/// Each size is 512 of the next smaller one, because a page table has 512 entries.
inline constexpr unsigned page_table_order = 9;
inline constexpr frame_count page_table_entries = 1 << page_table_order;

[[nodiscard]] constexpr order order_of(page_size size) {
  return order{page_table_order * static_cast<unsigned>(size)};
}
/// \throws usage_error if it is none of the three, and names the field that it was given for
void validate(page_size size, std::string_view field);

/// Frames that a page of the size holds: 1, 512 or 262144.
[[nodiscard]] constexpr frame_count frames_of(page_size size) { return order_of(size).frames(); }

/// A size in bytes. Written with literals: `16_GiB`.
class bytes {
 public:
  constexpr bytes() = default;
  constexpr explicit bytes(std::uint64_t value) : value_{value} {}

  [[nodiscard]] constexpr std::uint64_t value() const { return value_; }
  /// Whole frames that fit.
  [[nodiscard]] constexpr frame_count frames() const { return value_ / page_bytes; }

  friend constexpr bytes operator+(bytes a, bytes b) { return bytes{a.value_ + b.value_}; }
  friend constexpr bytes operator*(bytes a, std::uint64_t n) { return bytes{a.value_ * n}; }
  friend constexpr auto operator<=>(bytes, bytes) = default;

 private:
  std::uint64_t value_ = 0;
};

inline namespace literals {
constexpr bytes operator""_KiB(unsigned long long n) { return bytes{n << 10}; }
constexpr bytes operator""_MiB(unsigned long long n) { return bytes{n << 20}; }
constexpr bytes operator""_GiB(unsigned long long n) { return bytes{n << 30}; }
constexpr bytes operator""_TiB(unsigned long long n) { return bytes{n << 40}; }
}  // namespace literals

/// A CPU of the simulated machine, numbered from 0.
class cpu_id {
 public:
  constexpr cpu_id() = default;
  constexpr explicit cpu_id(unsigned value) : value_{value} {}

  [[nodiscard]] constexpr unsigned value() const { return value_; }
  friend constexpr auto operator<=>(cpu_id, cpu_id) = default;

 private:
  unsigned value_ = 0;
};

[[nodiscard]] std::string to_text(pfn);        ///< `300000`
[[nodiscard]] std::string to_text(order);      ///< `9`
[[nodiscard]] std::string to_text(page_size);  ///< `4K`, `2M`, `1G`
[[nodiscard]] std::string to_text(bytes);      ///< `16 GiB`, `4 KiB`, `100 B`: exact, never rounded
[[nodiscard]] std::string to_text(cpu_id);     ///< `0`

}  // namespace memsim

template <>
struct std::hash<memsim::pfn> {
  std::size_t operator()(memsim::pfn p) const noexcept {
    return std::hash<std::uint64_t>{}(p.value());
  }
};
