// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// What is known of every frame, as a structure of arrays indexed by frame number.
///
/// | column       | bytes         | says                                                          |
/// |--------------|---------------|---------------------------------------------------------------|
/// | marks        | 1 a frame     | the block of order 0 to 8 that begins here, if any            |
/// | pages out    | 1/8 a frame   | whether this single page is handed out, and no more is known  |
/// | places       | 4 a frame     | where on its free list it stands, while it is free            |
/// | block marks  | 1 a pageblock | the block of order 9 or 10 that begins here, if any           |
/// | block places | 4 a pageblock | where on its free list it stands, while it is free            |
/// | block tags   | 1 a pageblock | the allocator's three bits (its migratetype), whether the     |
/// |              |               | marks of the pageblock were ever written, whether any of its  |
/// |              |               | pages ever had infos, and compaction's skip hint              |
/// | page infos   | 8 a frame     | what a page in use holds and who owns it; made when the first |
/// |              |               | page has any                                                  |
///
/// A little over five bytes a frame, of which the four of a place are touched only by a frame that
/// once was the head of a free block. Zero is valid everywhere, so that frames never used cost
/// nothing: a pristine terabyte of order-10 blocks lives in the pageblock columns alone. The free
/// lists themselves are not here: they hold an entry for each free block.
///
/// A single page that moves between a per-CPU list and its user changes one bit, in a column so
/// dense that a gigabyte of it fits a cache: its mark says "per CPU" all the while.

#include <cstdint>
#include <string>

#include <memsim/core/types.hpp>
#include <memsim/frames/lazy_array.hpp>
#include <memsim/frames/page_info.hpp>

namespace memsim {

/// What a frame is the first frame of.
enum class frame_use : unsigned char {
  none,       ///< inside a block, in use since before the allocator, or not memory at all
  free,       ///< a block on a free list
  allocated,  ///< a block handed out
  per_cpu,    ///< a block on a per-CPU list
};

[[nodiscard]] std::string to_text(frame_use);

/// One byte: the use and order of the block that begins at a frame.
///
/// Free blocks also carry the number of the list that they are on. A frame in use may be flagged
/// movable: on an LRU list, or movable by its driver. An allocated block of several pages may be
/// compound: one page to whoever looks at any of its frames.
class frame_mark {
 public:
  constexpr frame_mark() = default;
  constexpr explicit frame_mark(std::uint8_t bits) : bits_{bits} {}

  [[nodiscard]] static constexpr frame_mark free(unsigned order, unsigned list) {
    return frame_mark(static_cast<std::uint8_t>(free_bit | order << 3 | list));
  }
  [[nodiscard]] static constexpr frame_mark allocated(unsigned order) {
    return frame_mark(static_cast<std::uint8_t>(allocated_bit | order));
  }
  [[nodiscard]] static constexpr frame_mark compound(unsigned order) {
    return frame_mark(static_cast<std::uint8_t>(compound_bits | order));
  }
  [[nodiscard]] static constexpr frame_mark per_cpu(unsigned order) {
    return frame_mark(static_cast<std::uint8_t>(per_cpu_bit | order));
  }

  [[nodiscard]] constexpr std::uint8_t bits() const { return bits_; }
  [[nodiscard]] constexpr frame_use use() const {
    if (bits_ & free_bit) return frame_use::free;
    if (bits_ & allocated_bit) return frame_use::allocated;
    return bits_ & per_cpu_bit ? frame_use::per_cpu : frame_use::none;
  }
  /// The order of the block; 0 where none begins.
  [[nodiscard]] constexpr unsigned order() const {
    return bits_ & free_bit ? bits_ >> 3 & 0xf : bits_ & 0xf;
  }
  /// The list of a free block.
  [[nodiscard]] constexpr unsigned list() const { return bits_ & 7; }
  [[nodiscard]] constexpr bool movable() const {
    return !(bits_ & free_bit) && bits_ & movable_bit;
  }
  /// Of a block that is allocated.
  [[nodiscard]] constexpr bool is_compound() const {
    return (bits_ & (free_bit | compound_bits)) == compound_bits;
  }

  [[nodiscard]] constexpr bool is_free(unsigned order) const {
    return bits_ >> 3 == (free_bit >> 3 | order);
  }
  [[nodiscard]] constexpr bool is_allocated(unsigned order) const {
    return (bits_ & ~(movable_bit | per_cpu_bit)) == (allocated_bit | order);
  }
  /// The same mark with the movable flag set or clear; not for free blocks.
  [[nodiscard]] constexpr frame_mark with_movable(bool movable) const {
    return frame_mark(
        static_cast<std::uint8_t>(movable ? bits_ | movable_bit : bits_ & ~movable_bit));
  }

  friend constexpr bool operator==(frame_mark, frame_mark) = default;

 private:
  static constexpr unsigned free_bit = 0x80;  // then 4 bits of order, 3 of list
  static constexpr unsigned movable_bit = 0x40;
  static constexpr unsigned allocated_bit = 0x20;
  static constexpr unsigned per_cpu_bit = 0x10;
  static constexpr unsigned compound_bits = allocated_bit | per_cpu_bit;

  std::uint8_t bits_ = 0;
};

static_assert(sizeof(frame_mark) == 1);

/// The columns. Copying a table copies what was touched: it forks an experiment.
class frame_table {
 public:
  /// A frame, or a pageblock, by its number.
  using node = std::uint32_t;

  /// \param end  one past the last frame, at most max_frame_end
  /// \throws usage_error if `end` is 0 or above max_frame_end
  explicit frame_table(pfn end);

  frame_table(const frame_table& other);
  frame_table& operator=(const frame_table& other);
  frame_table(frame_table&&) noexcept = default;
  frame_table& operator=(frame_table&&) noexcept = default;
  ~frame_table() = default;

  /// One past the last frame.
  [[nodiscard]] pfn end() const { return pfn{frames_}; }
  /// Pageblocks up to end(), rounded up to whole blocks of the largest order: the buddy of every
  /// block has a mark, if only an empty one.
  [[nodiscard]] std::uint32_t pageblocks() const { return blocks_; }

  /// The mark of the block that begins at `frame`, whatever its order; `frame` below end().
  [[nodiscard]] frame_mark mark_at(pfn frame) const {
    const auto index = static_cast<node>(frame.value());
    if (index % pageblock_frames == 0) {
      if (const auto mark = block_marks_[index / pageblock_frames]; mark != frame_mark{}) {
        return mark;
      }
    }
    return low_mark_at(index);
  }
  /// mark_at() for blocks below pageblock order alone.
  [[nodiscard]] frame_mark low_mark_at(node index) const {
    return is_page_out(index) ? frame_mark::allocated(0) : marks_[index];
  }

  /// The mark of a block of `order` that begins, or would begin, at `index`; see is_page_out().
  [[nodiscard]] frame_mark& mark(node index, unsigned order) {
    return order < pageblock_order.value() ? marks_[index] : block_marks_[index / pageblock_frames];
  }
  [[nodiscard]] frame_mark mark(node index, unsigned order) const {
    return order < pageblock_order.value() ? marks_[index] : block_marks_[index / pageblock_frames];
  }

  /// Whether the frame is a page handed out without further notice: a block of order 0 that is not
  /// flagged movable. Its mark is frame_mark::per_cpu(0) then.
  [[nodiscard]] bool is_page_out(node index) const {
    return pages_out_[index / 64] >> (index % 64) & 1;
  }
  void hand_out_page(node index) { pages_out_[index / 64] |= std::uint64_t{1} << (index % 64); }
  void take_back_page(node index) { pages_out_[index / 64] &= ~(std::uint64_t{1} << (index % 64)); }
  /// take_back_page() if it is out; whether it was.
  bool take_back_page_if_out(node index) {
    std::uint64_t& word = pages_out_[index / 64];
    const std::uint64_t was = word;
    if ((was >> (index % 64) & 1) == 0) return false;
    word = was & ~(std::uint64_t{1} << (index % 64));
    return true;
  }

  /// Whether a block of exactly this order that begins at `index` is handed out.
  [[nodiscard]] bool is_allocated(node index, unsigned order) const {
    return (order == 0 && is_page_out(index)) || mark(index, order).is_allocated(order);
  }
  /// Marks a block as handed out.
  void set_allocated(node index, unsigned order) {
    if (order == 0) {
      marks_[index] = frame_mark::per_cpu(0);
      hand_out_page(index);
    } else {
      mark(index, order) = frame_mark::allocated(order);
    }
  }
  /// Marks a block that was handed out as otherwise used.
  void end_allocation(node index, unsigned order, frame_mark now) {
    if (order == 0) take_back_page(index);
    mark(index, order) = now;
  }

  /// The allocator's three bits for a pageblock; 0 until set.
  [[nodiscard]] unsigned tag(node block) const { return block_tags_[block] & tag_mask; }
  void set_tag(node block, unsigned tag) {
    block_tags_[block] = static_cast<std::uint8_t>((block_tags_[block] & ~tag_mask) | tag);
  }

  /// Whether any mark below pageblock order was ever written in the pageblock. Who writes one says
  /// so with touch(), once a pageblock at least; the rest of the pageblock need not be looked at.
  [[nodiscard]] bool touched(node block) const { return block_tags_[block] & touched_bit; }
  void touch(node block) { block_tags_[block] |= touched_bit; }

  /// Compaction's note that nothing to move was found in the pageblock.
  [[nodiscard]] bool skip_hint(node block) const { return block_tags_[block] & skip_bit; }
  void set_skip_hint(node block) { block_tags_[block] |= skip_bit; }
  void clear_skip_hint(node block) {
    block_tags_[block] = static_cast<std::uint8_t>(block_tags_[block] & ~skip_bit);
  }

  /// What is known of a page in use; nothing, for most.
  [[nodiscard]] page_info info(node index) const {
    return infos_.data() == nullptr ? page_info{} : infos_[index];
  }
  void set_info(node index, page_info info) {
    if (infos_.data() == nullptr) make_infos();
    block_tags_[index / pageblock_frames] |= noted_bit;
    infos_[index] = info;
  }
  /// Whether any page of the pageblock ever had infos.
  [[nodiscard]] bool noted(node block) const { return block_tags_[block] & noted_bit; }

  /// Where on its free list the free block of `order` at `index` stands.
  [[nodiscard]] std::uint32_t& place(node index, unsigned order) {
    return order < pageblock_order.value() ? places_[index]
                                           : block_places_[index / pageblock_frames];
  }
  [[nodiscard]] std::uint32_t place(node index, unsigned order) const {
    return order < pageblock_order.value() ? places_[index]
                                           : block_places_[index / pageblock_frames];
  }

  /// The columns of marks and of places, for loops that have much to do with them.
  [[nodiscard]] frame_mark* marks() { return marks_.data(); }
  [[nodiscard]] const frame_mark* marks() const { return marks_.data(); }
  [[nodiscard]] std::uint32_t* places() { return places_.data(); }
  [[nodiscard]] const std::uint32_t* places() const { return places_.data(); }

  /// The column of pages out, 64 frames a word, for scans.
  [[nodiscard]] const std::uint64_t* pages_out() const { return pages_out_.data(); }

  /// Bytes of metadata per frame of a machine in which every frame was the head of a free block.
  static constexpr double bytes_per_frame =
      sizeof(frame_mark) + 1.0 / 8 + sizeof(std::uint32_t) +
      double(sizeof(frame_mark) + sizeof(std::uint32_t) + 1) / double(pageblock_frames);

 private:
  static constexpr std::uint8_t tag_mask = 0x07;
  static constexpr std::uint8_t touched_bit = 0x08;
  static constexpr std::uint8_t noted_bit = 0x10;
  static constexpr std::uint8_t skip_bit = 0x20;

  void make_infos();

  node frames_;
  node blocks_;
  detail::lazy_array<frame_mark> marks_;
  detail::lazy_array<std::uint64_t> pages_out_;
  detail::lazy_array<std::uint32_t> places_;
  detail::lazy_array<frame_mark> block_marks_;
  detail::lazy_array<std::uint32_t> block_places_;
  detail::lazy_array<std::uint8_t> block_tags_;
  detail::lazy_array<page_info> infos_;
};

static_assert(frame_table::bytes_per_frame <= 6);

}  // namespace memsim
