// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The set-associative LRU table that simulators carry, to have something to be compared with.
///
/// Sets are stretches of one array; an entry has a tag, a valid flag and the time of its last use.
/// A lookup searches the ways one by one, a fill takes the way that is empty or was used longest
/// ago. It is told the page size of an access and so looks in one structure a level; it knows no
/// address spaces, no flushes and no page-walk caches, and counts hits and misses alone. Nothing is
/// slow on purpose: all of it can be inlined into the caller.

#include <array>
#include <cstdint>
#include <vector>

#include <memsim/core/types.hpp>

namespace memsim::bench {

class plain_lru_table {
 public:
  /// \param sets  a power of two
  plain_lru_table(std::uint64_t sets, std::uint64_t ways)
      : sets_{sets}, ways_{ways}, entries_(sets * ways) {}

  bool look_up(std::uint64_t tag) {
    entry* const set = set_of(tag);
    for (entry* e = set; e != set + ways_; ++e) {
      if (e->valid && e->tag == tag) {
        e->last_used = ++clock_;
        return true;
      }
    }
    return false;
  }

  void fill(std::uint64_t tag) {
    entry* const set = set_of(tag);
    entry* victim = set;
    for (entry* e = set; e != set + ways_; ++e) {
      if (!e->valid) {
        victim = e;
        break;
      }
      if (e->last_used < victim->last_used) victim = e;
    }
    *victim = {.tag = tag, .last_used = ++clock_, .valid = true};
  }

 private:
  struct entry {
    std::uint64_t tag = 0;
    std::uint64_t last_used = 0;
    bool valid = false;
  };

  [[nodiscard]] entry* set_of(std::uint64_t tag) { return &entries_[(tag & (sets_ - 1)) * ways_]; }

  std::uint64_t sets_;
  std::uint64_t ways_;
  std::uint64_t clock_ = 0;
  std::vector<entry> entries_;
};

/// The structures of presets::skylake_sp_tlb(). Two sizes may share the second level: the tag says
/// which one an entry is of by being that of a page of its size, and streams do not mix sizes.
class plain_lru_tlb {
 public:
  struct counts {
    std::uint64_t l1_hits = 0;
    std::uint64_t l2_hits = 0;
    std::uint64_t walks = 0;

    friend bool operator==(const counts&, const counts&) = default;
  };

  void translate(std::uint64_t page, page_size size) {
    const std::uint64_t tag = page >> order_of(size).value();
    auto& l1 = l1_[static_cast<unsigned>(size)];
    if (l1.look_up(tag)) {
      ++counts_.l1_hits;
      return;
    }
    auto& l2 = l2_[size == page_size::g1 ? 1 : 0];
    if (l2.look_up(tag)) {
      ++counts_.l2_hits;
    } else {
      ++counts_.walks;
      l2.fill(tag);
    }
    l1.fill(tag);
  }

  [[nodiscard]] const counts& counted() const { return counts_; }

 private:
  std::array<plain_lru_table, page_sizes> l1_{plain_lru_table{16, 4}, plain_lru_table{8, 4},
                                              plain_lru_table{1, 4}};
  std::array<plain_lru_table, 2> l2_{plain_lru_table{128, 12}, plain_lru_table{4, 4}};
  counts counts_{};
};

}  // namespace memsim::bench
