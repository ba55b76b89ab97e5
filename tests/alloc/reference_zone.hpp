// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// One zone of the reference model: free lists, counters, per-CPU lists and fallback, written down
/// from docs/linux-rules/page-alloc.md a rule a function, with nothing clever.
///
/// Slow on purpose. It shares no code with the allocator that it judges but the plain data types
/// and the tables of types, so a mistake here and a mistake there would have to be the same one.

#include <array>
#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include <memsim/alloc/allocator_state.hpp>
#include <memsim/alloc/observer.hpp>
#include <memsim/alloc/tuning.hpp>

namespace memsim::reference {

enum class kernel { v6_1, v6_12 };

enum class watermark { min, low, high };

/// Limits may cross: what is below the upper one is then raised to the lower one.
constexpr std::int64_t kernel_clamp(std::int64_t value, std::int64_t low, std::int64_t high) {
  if (value >= high) return high;
  return value <= low ? low : value;
}

/// One attempt of a request: what it wants, and what A1 lets it do.
struct attempt {
  unsigned order = 0;
  migratetype type{};
  unsigned highest_zone = 0;
  watermark mark = watermark::low;
  bool no_fragment = false;
  bool cma_allowed = false;
  bool non_blocking = false;
  bool min_reserve = false;
  bool highatomic = false;
  bool atomic = false;           ///< the request is `t`, not `h` alone
  bool wakes_reclaimer = false;  ///< `k` or `t`
};

/// A free block, and where it stands.
struct free_block {
  unsigned order = 0;
  migratetype list{};
  std::list<pfn>::iterator place{};
};

/// A block that was taken off a free list, and the type of that list.
struct taken_block {
  pfn block{};
  migratetype type{};
};

/// What a refill or a direct allocation of 6.12 remembers from page to page (B5).
enum class fallback_mode { normal, cma, steal };

struct page_set {
  pcp_state numbers{};  ///< its `lists` stay empty
  std::array<std::deque<pcp_entry>, pcp_lists> lists{};
};

class zone_model {
 public:
  zone_model(const zone_state& state, kernel version, const tuning& settings);
  zone_model(const zone_model& other) : zone_model{other.state(), other.kernel_, other.settings_} {}
  zone_model& operator=(const zone_model&) = delete;

  [[nodiscard]] zone_state state() const;
  [[nodiscard]] zone_type type() const { return numbers_.extent.type; }
  [[nodiscard]] bool contains(pfn frame) const;
  /// The frames, in use until now, become a block that can be freed.
  void adopt(pfn block, unsigned order) { allocated_[block] = order; }
  /// The block becomes blocks of a lower order; those but the first have no mark of their own yet.
  void split(pfn block, unsigned from, unsigned to);
  void set_movable(pfn frame, bool movable);

  /// A2 for this zone: the marks, then A4.
  [[nodiscard]] std::optional<pfn> try_zone(const attempt&, unsigned cpu,
                                            std::vector<fallback_event>& log);
  /// A12, B9
  void reserve_highatomic(pfn block, unsigned order, unsigned cpu);
  /// A10, B6
  void free(pfn block, unsigned order, unsigned cpu);
  /// A10, last paragraph. The pages are `owner`'s, the changes of the counters `actor`'s.
  void drain(unsigned owner, unsigned actor);

 private:
  // Watermarks: A3
  [[nodiscard]] std::int64_t seen_free() const;
  [[nodiscard]] std::int64_t seen_cma() const;
  [[nodiscard]] std::int64_t unusable(const attempt&) const;
  [[nodiscard]] bool above(std::int64_t mark, const attempt&) const;
  [[nodiscard]] bool passes(watermark, const attempt&) const;
  [[nodiscard]] bool above_high_again() const;
  [[nodiscard]] std::uint64_t mark_of(watermark) const;

  // Taking: A4, A5, B4
  [[nodiscard]] std::optional<pfn> take(const attempt&, unsigned cpu, std::vector<fallback_event>&);
  [[nodiscard]] std::optional<pfn> take_per_cpu(const attempt&, unsigned cpu,
                                                std::vector<fallback_event>&);
  [[nodiscard]] std::optional<pfn> take_direct(const attempt&, unsigned cpu,
                                               std::vector<fallback_event>&);
  [[nodiscard]] std::int64_t refill_blocks_6_1(const attempt&, const pcp_state&) const;
  [[nodiscard]] std::int64_t refill_blocks_6_12(const attempt&, pcp_state&);
  void refill(std::deque<pcp_entry>& list, const attempt&, unsigned cpu,
              std::vector<fallback_event>&);

  // The free lists: A6, A7, B5
  [[nodiscard]] std::optional<taken_block> take_block(const attempt&, unsigned cpu, fallback_mode&,
                                                      std::vector<fallback_event>&);
  [[nodiscard]] std::optional<taken_block> take_block_6_1(const attempt&, unsigned cpu,
                                                          std::vector<fallback_event>&);
  [[nodiscard]] std::optional<taken_block> take_block_6_12(const attempt&, unsigned cpu,
                                                           fallback_mode&,
                                                           std::vector<fallback_event>&);
  [[nodiscard]] bool cma_is_ahead(const attempt&) const;
  [[nodiscard]] std::optional<taken_block> smallest_fit(unsigned order, migratetype list,
                                                        unsigned cpu);
  void split_down(pfn block, unsigned from, unsigned to, migratetype list);

  // Fallback: A8, A9, B5
  struct found_block {
    unsigned order = 0;
    migratetype list{};
    pfn block{};
  };
  [[nodiscard]] std::optional<found_block> first_fallback(unsigned order, migratetype wanted) const;
  [[nodiscard]] bool fall_back_6_1(const attempt&, std::vector<fallback_event>&);
  void convert(const found_block&, const attempt&, bool whole_block);
  [[nodiscard]] std::optional<taken_block> claim(const attempt&, unsigned cpu,
                                                 std::vector<fallback_event>&);
  [[nodiscard]] std::optional<taken_block> try_claim(const found_block&, const attempt&,
                                                     unsigned cpu);
  [[nodiscard]] std::optional<taken_block> steal(const attempt&, unsigned cpu,
                                                 std::vector<fallback_event>&);
  void boost(const attempt&);

  // Freeing: A10, A11, B6 to B8
  void free_per_cpu_6_1(page_set&, unsigned list, unsigned order, unsigned cpu);
  void free_per_cpu_6_12(page_set&, unsigned list, unsigned order, unsigned cpu);
  void bulk_free(page_set&, std::int64_t pages, unsigned first_list, unsigned cpu);
  void merge_and_list(pfn block, unsigned order, migratetype type, unsigned cpu);

  // Lists, pageblocks and counters
  void put_head(pfn block, unsigned order, migratetype list);
  void put_tail(pfn block, unsigned order, migratetype list);
  void remove(pfn block);
  void move_to_tail(pfn block, migratetype list, unsigned cpu);
  [[nodiscard]] bool is_free(pfn block, unsigned order) const;
  [[nodiscard]] std::vector<pfn> free_blocks_in(pfn first, pfn last) const;
  [[nodiscard]] std::int64_t pages_of(const std::vector<pfn>& blocks) const;
  [[nodiscard]] std::int64_t movable_in(pfn first, pfn last) const;
  [[nodiscard]] migratetype pageblock_type(pfn frame) const;
  void set_pageblock_types(pfn block, unsigned order, migratetype type);
  [[nodiscard]] std::size_t pageblock_index(pfn frame) const;
  void change_free(std::int64_t pages, unsigned cpu);
  void change_cma(std::int64_t pages, unsigned cpu);
  void account(std::int64_t pages, migratetype list, unsigned cpu);

  kernel kernel_;
  tuning settings_;
  zone_state numbers_;  ///< the numbers alone; what it holds as vectors is in the members below
  std::vector<page_set> cpus_;
  std::array<std::array<std::list<pfn>, migratetypes>, page_orders> lists_;
  std::map<pfn, free_block> free_;  ///< every free block, by its first frame
  std::vector<std::optional<migratetype>> pageblocks_;
  std::set<pfn> movable_;
  std::map<pfn, unsigned> allocated_;  ///< blocks handed out, and their orders
};

}  // namespace memsim::reference
