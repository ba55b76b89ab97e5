// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The array under every TLB structure and page-walk cache: sets of tagged entries.
///
/// A set is searched by signature: a byte of hash a way, sixteen of them compared at once; the few
/// ways that match are then compared in full. Recency is one word a set (recency.hpp), or for wide
/// LRU sets a linked list. Emptying the table is one increment: a set whose generation is not the
/// table's is empty, and is cleared when next used.

#include <array>
#include <bit>
#include <cstdint>
#include <string_view>
#include <vector>

#include <memsim/arch/byte_match.hpp>
#include <memsim/arch/recency.hpp>
#include <memsim/arch/tlb_geometry.hpp>
#include <memsim/arch/virtual_page.hpp>
#include <memsim/core/digest.hpp>
#include <memsim/core/random.hpp>

namespace memsim::detail {

/// What is looked for: an aligned region of 2^order pages of an address space.
struct entry_key {
  std::uint64_t tag;     ///< as it stands in the table, in the layout of `place`
  std::uint64_t number;  ///< of the region: picks the set

  /// \param where  a place::of()
  /// \param kind   0 to 2, told apart by the tag and counted apart: the page size
  [[nodiscard]] static constexpr entry_key of(std::uint64_t where, unsigned order, unsigned kind) {
    return {.tag = (where & place::mask(order)) | std::uint64_t{kind + 1} << place::size_shift,
            .number = where >> place::page_shift >> order};
  }
};

class entry_table {
 public:
  static constexpr unsigned kinds = 3;
  using kind_counts = std::array<std::uint64_t, kinds>;

  /// \param shape   validated, with at least one way
  /// \param seed    of the random stream, used with replacement::random
  /// \param stream  its name
  entry_table(const table_geometry& shape, std::uint64_t seed, std::string_view stream);

  /// The tag of an entry that answers the key, which is then the most recently used of its set;
  /// 0 if there is none.
  [[nodiscard]] std::uint64_t touch(const entry_key& key) {
    const std::uint64_t set = set_of(key.number);
    if (states_[set].generation != generation_) return 0;
    const unsigned way = find(set, key);
    if (way == none) return 0;
    mark_used(set, way);
    return tags_[set * ways_ + way];
  }
  /// Whether touch() would find one.
  [[nodiscard]] bool contains(const entry_key& key) const {
    const std::uint64_t set = set_of(key.number);
    return states_[set].generation == generation_ && find(set, key) != none;
  }

  /// Adds an entry that is not there yet.
  /// \param tag  of the key, with the global bit if it is to answer every address space
  /// \return     the tag that made room, or 0
  std::uint64_t insert(std::uint64_t tag, std::uint64_t number) {
    const std::uint64_t set = set_of(number);
    if (states_[set].generation != generation_) clear_set(set);
    const unsigned way = make_room(set);
    std::uint64_t& slot = tags_[set * ways_ + way];
    const std::uint64_t evicted = slot;
    slot = tag;
    signature(set, way) = signature_of(number);
    if (kind_of(evicted) != kind_of(tag)) {
      if (evicted != 0) --live_[kind_of(evicted)];
      ++live_[kind_of(tag)];
    }
    return evicted;
  }

  /// Drops every entry that answers the key: the address space's own, and global ones.
  /// \return how many
  unsigned erase(const entry_key& key);
  /// Drops the entries whose tag has `value` under `mask`.
  /// \return how many of each kind
  kind_counts erase_where(std::uint64_t mask, std::uint64_t value);
  /// Drops everything.
  void clear() {
    ++generation_;
    live_ = {};
  }

  /// Entries that are present, by kind.
  [[nodiscard]] const kind_counts& live() const { return live_; }

  /// The kind of an entry; `kinds` or more for 0, which is none.
  [[nodiscard]] static constexpr unsigned kind_of(std::uint64_t tag) {
    return static_cast<unsigned>((tag & place::size_bits) >> place::size_shift) - 1;
  }

  /// Adds what bears on future decisions.
  void add_to(digest& sum) const;

 private:
  static constexpr unsigned none = ~0u;
  static constexpr unsigned chunk_ways = 16;

  enum class order_kind : unsigned char { word, list, tree, random };
  struct set_state {
    std::uint64_t recency = 0;
    std::uint64_t generation = 0;
  };
  /// Neighbours in the order of use of a wide set: a ring through an entry one past the last way.
  struct link {
    std::uint16_t newer = 0;
    std::uint16_t older = 0;
  };

  [[nodiscard]] std::uint64_t set_of(std::uint64_t number) const {
    return set_mask_ != 0 || sets_ == 1 ? number & set_mask_ : number % sets_;
  }
  [[nodiscard]] static constexpr std::uint8_t signature_of(std::uint64_t number) {
    return static_cast<std::uint8_t>(number * 0x9e37'79b9'7f4a'7c15 >> 56);
  }
  [[nodiscard]] std::uint8_t& signature(std::uint64_t set, unsigned way) {
    return signatures_[set * chunks_ + way / chunk_ways][way % chunk_ways];
  }

  [[nodiscard]] static bool answers(std::uint64_t tag, const entry_key& key) {
    const std::uint64_t ignored =
        (0 - (tag & place::global_bit)) & (place::asid_bits | place::global_bit);
    return ((tag ^ key.tag) & ~ignored) == 0;
  }

  [[nodiscard]] unsigned find(std::uint64_t set, const entry_key& key) const {
    const std::uint8_t wanted = signature_of(key.number);
    const std::uint64_t* tags = &tags_[set * ways_];
    const sixteen_bytes* chunk = &signatures_[set * chunks_];
    for (unsigned first = 0; first < ways_; first += chunk_ways, ++chunk) {
      std::uint32_t candidates = match_bytes(*chunk, wanted);
      if (ways_ - first < chunk_ways) candidates &= (1u << (ways_ - first)) - 1;
      for (; candidates != 0; candidates &= candidates - 1) {
        const unsigned way = first + static_cast<unsigned>(std::countr_zero(candidates));
        if (answers(tags[way], key)) return way;
      }
    }
    return none;
  }

  void mark_used(std::uint64_t set, unsigned way) {
    if (order_ == order_kind::word) {
      recency_order order{states_[set].recency};
      order.use(way);
      states_[set].recency = order.word();
    } else {
      mark_used_otherwise(set, way);
    }
  }
  /// The way for a new entry, which becomes the most recently used. An empty way is preferred; with
  /// LRU, empty ways are the least recently used.
  [[nodiscard]] unsigned make_room(std::uint64_t set) {
    if (order_ == order_kind::word) {
      recency_order order{states_[set].recency};
      const unsigned way = order.reuse_oldest(ways_);
      states_[set].recency = order.word();
      return way;
    }
    return make_room_otherwise(set);
  }

  void mark_used_otherwise(std::uint64_t set, unsigned way);
  [[nodiscard]] unsigned make_room_otherwise(std::uint64_t set);
  void erase_way(std::uint64_t set, unsigned way);
  void clear_set(std::uint64_t set);
  [[nodiscard]] link* links_of(std::uint64_t set) { return &links_[set * (ways_ + 1)]; }
  void unlink(link* links, unsigned way);
  void link_after(link* links, unsigned newer, unsigned way);

  std::uint64_t sets_;
  std::uint64_t set_mask_;  // 0 unless sets_ is a power of two
  unsigned ways_;
  unsigned chunks_;  // of signatures a set
  order_kind order_;
  std::uint64_t generation_ = 1;
  kind_counts live_{};
  std::vector<set_state> states_;
  std::vector<sixteen_bytes> signatures_;
  std::vector<std::uint64_t> tags_;  // 0: empty
  std::vector<link> links_;
  std::vector<random_stream> random_;  // one or none: it is large
};

}  // namespace memsim::detail
