// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The array under every TLB structure and page-walk cache: sets of tagged entries.
///
/// | table   | sets                              | search       | order of use               |
/// |---------|-----------------------------------|--------------|----------------------------|
/// | quad    | 4 ways, LRU, a power of two       | tags         | the ways are sorted by it  |
/// | narrow  | up to 16, LRU, a power of two     | signatures   | a word a set (recency.hpp) |
/// | general | all others                        | signatures   | a word, or a linked list   |
///
/// A signature is a byte of hash a way: sixteen are compared at once, and the few ways that match
/// are then compared in full. Emptying the table is one increment: a set whose generation is not
/// the table's is empty, and is cleared when next used.
///
/// Quads and narrow tables, which is what most are, are handled here, inline.

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <string_view>
#include <utility>
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

  /// A byte of hash of the number, eight times.
  [[nodiscard]] constexpr std::uint64_t signature() const {
    return broadcast(static_cast<std::uint8_t>(number * 0x9e37'79b9'7f4a'7c15 >> 56));
  }
};

/// A kind of region, ready to make keys from a place::of().
struct key_maker {
  std::uint64_t mask = 0;
  std::uint64_t code = 0;
  unsigned shift = 0;

  constexpr key_maker() = default;
  /// \param kind  0 to 2, told apart by the tag and counted apart: the page size
  constexpr key_maker(unsigned order, unsigned kind)
      : mask{place::mask(order)},
        code{std::uint64_t{kind + 1} << place::size_shift},
        shift{std::min(place::page_shift + order, 63u)} {}

  [[nodiscard]] constexpr entry_key operator()(std::uint64_t where) const {
    return {.tag = (where & mask) | code, .number = where >> shift};
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

  /// Whether touch_quad() will do.
  [[nodiscard]] bool is_quad() const { return form_ == form::quad; }
  /// Whether touch_quickly() and insert_quickly() will do.
  [[nodiscard]] bool is_quick() const { return form_ != form::general; }

  /// The tag of an entry that answers the key, which is then the most recently used of its set;
  /// 0 if there is none.
  [[nodiscard]] std::uint64_t touch(const entry_key& key) {
    return is_quick() ? touch_quickly(key) : touch_generally(key);
  }
  /// touch() for quads and narrow tables.
  [[nodiscard, gnu::always_inline]] std::uint64_t touch_quickly(const entry_key& key) {
    return form_ == form::quad ? touch_quad(key) : touch_narrow(key);
  }
  /// touch() for quads.
  [[nodiscard, gnu::always_inline]] std::uint64_t touch_quad(const entry_key& key) {
    std::uint64_t* const set = set_at(key.number & set_mask_);
    if (set[generation_word] != generation_) [[unlikely]]
      return 0;
    if (move_to_front(set + quad_tags, key.tag)) return key.tag;
    if (!has_global_) [[likely]]
      return 0;
    const std::uint64_t tag = place::global(key.tag);
    return move_to_front(set + quad_tags, tag) ? tag : 0;
  }
  /// Whether touch() would find one.
  [[nodiscard]] bool contains(const entry_key& key) const;

  /// Adds an entry that is not there yet.
  /// \param key  with place::global() of its tag if it is to answer every address space
  void insert(const entry_key& key) {
    if (!is_quick() || !insert_quickly(key)) [[unlikely]]
      insert_generally(key);
  }
  /// insert() for quads and narrow tables. Calls nothing, so that its caller need not save
  /// registers.
  /// \return whether the set could be used as it is; if not, nothing was done
  [[nodiscard, gnu::always_inline]] bool insert_quickly(const entry_key& key) {
    if (form_ == form::quad) return insert_in_quad(key);
    std::uint64_t* const set = set_at(key.number & set_mask_);
    if (set[generation_word] != generation_) [[unlikely]]
      return false;
    recency_order order{set[recency_word]};
    const unsigned way = order.reuse_oldest(span_);
    set[recency_word] = order.word();
    set_byte(set + signature_words, way, key.signature());
    note_change(std::exchange(set[narrow_tags + way], key.tag), key.tag);
    return true;
  }
  /// insert_quickly() for quads.
  [[nodiscard, gnu::always_inline]] bool insert_in_quad(const entry_key& key) {
    std::uint64_t* const set = set_at(key.number & set_mask_);
    if (set[generation_word] != generation_) [[unlikely]]
      return false;
    std::uint64_t* const tags = set + quad_tags;
    const std::uint64_t evicted = tags[3];
    tags[3] = tags[2];
    tags[2] = tags[1];
    tags[1] = tags[0];
    tags[0] = key.tag;
    note_change(evicted, key.tag);
    return true;
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
    has_global_ = false;
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

  enum class form : unsigned char { quad, narrow, general };
  enum class order_kind : unsigned char { position, word, list, tree, random };
  /// Neighbours in the order of use of a wide set: a ring through an entry one past the last way.
  struct link {
    std::uint16_t newer = 0;
    std::uint16_t older = 0;
  };

  [[nodiscard]] static form form_of(const table_geometry& shape);
  [[nodiscard]] static order_kind order_for(const table_geometry& shape, form form);

  // The words of a set: recency, generation, signatures in chunks of two words, tags. A tag of 0 is
  // an empty way.
  static constexpr unsigned recency_word = 0;
  static constexpr unsigned generation_word = 1;
  static constexpr unsigned signature_words = 2;
  static constexpr unsigned quad_tags = 2;  // with no signatures
  static constexpr unsigned narrow_tags = 4;

  [[nodiscard]] std::uint64_t set_of(std::uint64_t number) const { return number % sets_; }
  [[nodiscard]] std::uint64_t* set_at(std::uint64_t set) { return &words_[set * stride_]; }
  [[nodiscard]] const std::uint64_t* set_at(std::uint64_t set) const {
    return &words_[set * stride_];
  }
  [[nodiscard]] std::uint64_t* tags_of(std::uint64_t set) { return set_at(set) + tag_words_; }
  [[nodiscard]] const std::uint64_t* tags_of(std::uint64_t set) const {
    return set_at(set) + tag_words_;
  }
  [[nodiscard]] link* links_of(std::uint64_t set) { return &links_[set * (ways_ + 1)]; }

  [[nodiscard]] static bool answers(std::uint64_t tag, const entry_key& key) {
    return tag == key.tag || tag == place::global(key.tag);
  }
  /// Whether one of four tags is the one wanted; it then comes first. In arithmetic, for a compiler
  /// makes branches of choices, and which of the four it is, no processor can predict.
  [[nodiscard, gnu::always_inline]] static bool move_to_front(std::uint64_t* tags,
                                                              std::uint64_t wanted) {
    const std::uint64_t first = tags[0];
    const std::uint64_t second = tags[1];
    const std::uint64_t third = tags[2];
    const std::uint64_t fourth = tags[3];
    // All ones while the one wanted is still to come.
    const std::uint64_t past_first = ones_unless_zero(first ^ wanted);
    const std::uint64_t past_second = past_first & ones_unless_zero(second ^ wanted);
    const std::uint64_t past_third = past_second & ones_unless_zero(third ^ wanted);
    if ((past_third & (fourth ^ wanted)) != 0) return false;
    tags[0] = wanted;
    tags[1] = second ^ ((first ^ second) & past_first);
    tags[2] = third ^ ((second ^ third) & past_second);
    tags[3] = fourth ^ ((third ^ fourth) & past_third);
    return true;
  }
  [[nodiscard]] static constexpr std::uint64_t ones_unless_zero(std::uint64_t word) {
    return static_cast<std::uint64_t>(static_cast<std::int64_t>(word | (0 - word)) >> 63);
  }

  [[nodiscard, gnu::always_inline]] std::uint64_t touch_narrow(const entry_key& key) {
    std::uint64_t* const set = set_at(key.number & set_mask_);
    if (set[generation_word] != generation_) [[unlikely]]
      return 0;
    std::uint32_t candidates = match_bytes(set + signature_words, key.signature()) & narrow_ways_;
    for (; candidates != 0; candidates &= candidates - 1) {
      const auto way = static_cast<unsigned>(std::countr_zero(candidates));
      const std::uint64_t tag = set[narrow_tags + way];
      if (!answers(tag, key)) [[unlikely]]
        continue;
      recency_order order{set[recency_word]};
      order.use(way);
      set[recency_word] = order.word();
      return tag;
    }
    return 0;
  }

  [[nodiscard]] unsigned find(std::uint64_t set, const entry_key& key) const;
  [[nodiscard]] std::uint64_t touch_generally(const entry_key& key);
  void insert_generally(const entry_key& key);
  /// Keeps live_ and has_global_ right where one tag takes the place of another.
  void note_change(std::uint64_t before, std::uint64_t after) {
    if (((before ^ after) & (place::size_bits | place::global_bit)) == 0) [[likely]]
      return;
    if ((after & place::global_bit) != 0) has_global_ = true;
    if (before != 0) --live_[kind_of(before)];
    ++live_[kind_of(after)];
  }
  /// The way for a new entry, which becomes the most recently used. An empty way is preferred; with
  /// LRU, empty ways are the least recently used.
  [[nodiscard]] unsigned make_room(std::uint64_t set);
  void mark_used(std::uint64_t set, unsigned way);
  void erase_way(std::uint64_t set, unsigned way);
  void clear_set(std::uint64_t set);
  static void unlink(link* links, unsigned way);
  static void link_after(link* links, unsigned newer, unsigned way);

  std::vector<std::uint64_t> words_;  // first what every lookup needs
  std::uint64_t set_mask_;            // of quads and narrow tables
  std::uint64_t stride_;              // words a set
  std::uint64_t generation_ = 1;
  std::uint32_t narrow_ways_;  // a bit a way
  form form_;
  order_kind order_;
  bool has_global_ = false;  // or had, since the table was last empty
  recency_span span_;
  kind_counts live_{};
  unsigned ways_;
  unsigned tag_words_;  // where in a set they begin
  std::uint64_t sets_;
  std::vector<link> links_;
  std::vector<random_stream> random_;  // one or none: it is large
};

}  // namespace memsim::detail
