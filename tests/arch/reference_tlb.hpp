// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// A TLB as one would draw it on a blackboard: sets that are lists, searched and sorted in full.
///
/// It shares with the tlb its configuration and nothing else. Replacement is LRU or tree
/// pseudo-LRU.

#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include <memsim/arch/tlb.hpp>

namespace memsim::reference {

/// Who may be answered by an entry, and with what.
struct entry {
  unsigned order = 0;        ///< it covers 2^order pages ...
  std::uint64_t number = 0;  ///< ... of which this is the place in a row of such
  std::uint16_t space = 0;
  bool global = false;
  std::uint64_t last_used = 0;

  [[nodiscard]] bool answers(std::uint64_t page, unsigned wanted_order, std::uint16_t who) const {
    return order == wanted_order && number == page >> order && (global || space == who);
  }
};

/// An array of entries.
class table {
 public:
  explicit table(const table_geometry& shape) : shape_{shape}, sets_(shape.sets) {
    for (auto& set : sets_) set.ways.resize(shape.ways);
  }

  /// Finds and uses an entry.
  std::optional<entry> find(std::uint64_t page, unsigned order, std::uint16_t space);
  [[nodiscard]] bool contains(std::uint64_t page, unsigned order, std::uint16_t space) const;
  /// \return the entry that made room
  std::optional<entry> insert(const entry& added);
  /// \return the entries dropped
  template <class Predicate>
  std::vector<entry> drop_if(Predicate wanted) {
    std::vector<entry> dropped;
    for (auto& set : sets_) {
      for (auto& way : set.ways) {
        if (!way || !wanted(*way)) continue;
        dropped.push_back(*way);
        way.reset();
      }
    }
    return dropped;
  }
  [[nodiscard]] std::uint64_t count(unsigned order) const;

 private:
  struct set_of_ways {
    std::vector<std::optional<entry>> ways;
    /// For each range of ways that is halved: whether the lower half was used last.
    std::map<std::pair<unsigned, unsigned>, bool> lower_used_last;
  };

  [[nodiscard]] set_of_ways& set_for(std::uint64_t number) { return sets_[number % shape_.sets]; }
  void use(set_of_ways& set, unsigned way);
  [[nodiscard]] unsigned victim(const set_of_ways& set) const;

  table_geometry shape_;
  std::vector<set_of_ways> sets_;
  std::uint64_t clock_ = 0;
};

/// The blackboard TLB.
class tlb {
 public:
  explicit tlb(const tlb_config& config);

  translation translate(asid space, vpn page, const page_mapping& mapping);
  [[nodiscard]] bool holds(asid space, vpn page) const;
  void flush(const tlb_flush& what);
  [[nodiscard]] std::uint64_t entries(unsigned level, page_size size) const;
  [[nodiscard]] const tlb_counts& counts() const { return counts_; }

 private:
  struct structure {
    page_size_set sizes;
    table entries;
  };

  unsigned walk(asid space, std::uint64_t page, unsigned leaf);
  unsigned host_walk();
  void fill(unsigned level, const entry& added);
  void drop_walk_caches(const std::vector<entry>& dropped);
  void flush_page(std::uint16_t space, std::uint64_t page);

  tlb_config config_;
  std::vector<std::vector<structure>> levels_;
  std::map<unsigned, table> walk_caches_;  // by the level of the entries, 1 is a PDE
  std::map<unsigned, table> nested_tlb_;   // one, or none
  page_size last_size_ = page_size::k4;    // of the last translation
  tlb_counts counts_;
};

}  // namespace memsim::reference
