// SPDX-License-Identifier: Apache-2.0
#include <memsim/arch/entry_table.hpp>

#include <algorithm>

namespace memsim::detail {

entry_table::entry_table(const table_geometry& shape, std::uint64_t seed, std::string_view stream)
    : sets_{shape.sets},
      set_mask_{std::has_single_bit(shape.sets) ? shape.sets - 1 : 0},
      ways_{shape.ways},
      chunks_{(shape.ways + chunk_ways - 1) / chunk_ways},
      order_{shape.policy == replacement::tree_plru          ? order_kind::tree
             : shape.policy == replacement::random           ? order_kind::random
             : shape.ways <= detail::recency_order::max_ways ? order_kind::word
                                                             : order_kind::list},
      states_(sets_),
      signatures_(sets_ * chunks_),
      tags_(sets_ * ways_) {
  if (order_ == order_kind::list) links_.resize(sets_ * (ways_ + 1));
  if (order_ == order_kind::random) random_.emplace_back(seed, stream);
}

void entry_table::unlink(link* links, unsigned way) {
  links[links[way].newer].older = links[way].older;
  links[links[way].older].newer = links[way].newer;
}

void entry_table::link_after(link* links, unsigned newer, unsigned way) {
  const std::uint16_t older = links[newer].older;
  links[way] = {.newer = static_cast<std::uint16_t>(newer), .older = older};
  links[newer].older = static_cast<std::uint16_t>(way);
  links[older].newer = static_cast<std::uint16_t>(way);
}

void entry_table::mark_used_otherwise(std::uint64_t set, unsigned way) {
  if (order_ == order_kind::list) {
    link* links = links_of(set);
    unlink(links, way);
    link_after(links, ways_, way);
  } else if (order_ == order_kind::tree) {
    recency_tree tree{states_[set].recency};
    tree.use(way, ways_);
    states_[set].recency = tree.word();
  }
}

unsigned entry_table::make_room_otherwise(std::uint64_t set) {
  unsigned way = 0;
  if (order_ == order_kind::list) {
    way = links_of(set)[ways_].newer;  // the ring's end is the oldest
  } else {
    const auto* tags = &tags_[set * ways_];
    const auto* empty = std::find(tags, tags + ways_, 0);
    if (empty != tags + ways_) {
      way = static_cast<unsigned>(empty - tags);
    } else if (order_ == order_kind::tree) {
      way = recency_tree{states_[set].recency}.oldest(ways_);
    } else {
      way = static_cast<unsigned>(random_.front().below(ways_));
    }
  }
  mark_used_otherwise(set, way);
  return way;
}

void entry_table::erase_way(std::uint64_t set, unsigned way) {
  std::uint64_t& tag = tags_[set * ways_ + way];
  --live_[kind_of(tag)];
  tag = 0;
  if (order_ == order_kind::word) {
    recency_order order{states_[set].recency};
    order.retire(way, ways_);
    states_[set].recency = order.word();
  } else if (order_ == order_kind::list) {
    link* links = links_of(set);
    unlink(links, way);
    link_after(links, links[ways_].newer, way);
  }
}

unsigned entry_table::erase(const entry_key& key) {
  const std::uint64_t set = set_of(key.number);
  if (states_[set].generation != generation_) return 0;
  unsigned erased = 0;
  for (unsigned way = find(set, key); way != none; way = find(set, key)) {
    erase_way(set, way);
    ++erased;
  }
  return erased;
}

entry_table::kind_counts entry_table::erase_where(std::uint64_t mask, std::uint64_t value) {
  const kind_counts before = live_;
  for (std::uint64_t set = 0; set < sets_; ++set) {
    if (states_[set].generation != generation_) continue;
    for (unsigned way = 0; way < ways_; ++way) {
      const std::uint64_t tag = tags_[set * ways_ + way];
      if (tag != 0 && (tag & mask) == value) erase_way(set, way);
    }
  }
  kind_counts erased{};
  for (unsigned kind = 0; kind < kinds; ++kind) erased[kind] = before[kind] - live_[kind];
  return erased;
}

void entry_table::clear_set(std::uint64_t set) {
  states_[set] = {.recency = 0, .generation = generation_};
  std::fill_n(&tags_[set * ways_], ways_, 0);
  if (order_ == order_kind::word) {
    states_[set].recency = recency_order::initial(ways_).word();
  } else if (order_ == order_kind::list) {
    link* links = links_of(set);
    for (unsigned i = 0; i <= ways_; ++i) {
      links[i] = {.newer = static_cast<std::uint16_t>(i == 0 ? ways_ : i - 1),
                  .older = static_cast<std::uint16_t>(i == ways_ ? 0 : i + 1)};
    }
  }
}

void entry_table::add_to(digest& sum) const {
  for (std::uint64_t set = 0; set < sets_; ++set) {
    const bool current = states_[set].generation == generation_;
    // With LRU it is the order that counts, not which way an entry is in.
    const bool positional = order_ == order_kind::tree || order_ == order_kind::random;
    sum.add(current && positional ? states_[set].recency : 0);
    unsigned at = order_ == order_kind::list ? links_[set * (ways_ + 1) + ways_].older : 0;
    for (unsigned i = 0; i < ways_ && current; ++i) {
      const unsigned way = order_ == order_kind::word   ? recency_order{states_[set].recency}.at(i)
                           : order_ == order_kind::list ? at
                                                        : i;
      const std::uint64_t tag = tags_[set * ways_ + way];
      // Empty ways are last with LRU: an untouched set and an emptied one are the same.
      if (tag == 0 && !positional) break;
      sum.add(tag);
      if (order_ == order_kind::list) at = links_[set * (ways_ + 1) + at].older;
    }
  }
  for (random_stream next : random_) sum.add(next.below(~std::uint64_t{0}));
}

}  // namespace memsim::detail
