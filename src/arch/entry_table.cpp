// SPDX-License-Identifier: Apache-2.0
#include <memsim/arch/entry_table.hpp>

#include <algorithm>

namespace memsim::detail {
namespace {

constexpr unsigned rounded_up(unsigned value, unsigned step) {
  return (value + step - 1) / step * step;
}

}  // namespace

entry_table::form entry_table::form_of(const table_geometry& shape) {
  if (shape.policy != replacement::lru || shape.ways > recency_order::max_ways ||
      !std::has_single_bit(shape.sets)) {
    return form::general;
  }
  return shape.ways == 4 ? form::quad : form::narrow;
}

entry_table::order_kind entry_table::order_for(const table_geometry& shape, form form) {
  if (shape.policy == replacement::tree_plru) return order_kind::tree;
  if (shape.policy == replacement::random) return order_kind::random;
  if (form == form::quad) return order_kind::position;
  return shape.ways <= recency_order::max_ways ? order_kind::word : order_kind::list;
}

entry_table::entry_table(const table_geometry& shape, std::uint64_t seed, std::string_view stream)
    : set_mask_{shape.sets - 1},
      narrow_ways_{(1u << std::min(shape.ways, chunk_ways)) - 1},
      form_{form_of(shape)},
      order_{order_for(shape, form_)},
      span_{std::min(shape.ways, recency_order::max_ways)},
      ways_{shape.ways},
      tag_words_{signature_words + rounded_up(shape.ways, chunk_ways) / 8},
      sets_{shape.sets} {
  if (order_ == order_kind::random) random_.emplace_back(seed, stream);
  if (form_ == form::quad) tag_words_ = quad_tags;
  // One chunk is looked at as far as narrow_ways_ says, several of them in full.
  stride_ = tag_words_ + (ways_ <= chunk_ways ? ways_ : rounded_up(ways_, chunk_ways));
  words_.resize(sets_ * stride_);
  if (order_ == order_kind::list) links_.resize(sets_ * (ways_ + 1));
}

unsigned entry_table::find(std::uint64_t set, const entry_key& key) const {
  const std::uint64_t* const words = set_at(set);
  if (words[generation_word] != generation_) return none;
  const std::uint64_t* const tags = tags_of(set);
  if (form_ == form::quad) {
    const auto* found =
        std::find_if(tags, tags + ways_, [&](auto tag) { return answers(tag, key); });
    return found == tags + ways_ ? none : static_cast<unsigned>(found - tags);
  }
  const std::uint64_t wanted = key.signature();
  for (unsigned first = 0; first < ways_; first += chunk_ways) {
    std::uint32_t candidates = match_bytes(words + signature_words + first / 8, wanted);
    if (ways_ <= chunk_ways) candidates &= narrow_ways_;
    for (; candidates != 0; candidates &= candidates - 1) {
      const unsigned way = first + static_cast<unsigned>(std::countr_zero(candidates));
      if (answers(tags[way], key)) return way;
    }
  }
  return none;
}

bool entry_table::contains(const entry_key& key) const {
  return find(set_of(key.number), key) != none;
}

std::uint64_t entry_table::touch_generally(const entry_key& key) {
  const std::uint64_t set = set_of(key.number);
  const unsigned way = find(set, key);
  if (way == none) return 0;
  mark_used(set, way);
  return tags_of(set)[way];
}

void entry_table::insert_generally(const entry_key& key) {
  const std::uint64_t set = set_of(key.number);
  if (set_at(set)[generation_word] != generation_) clear_set(set);
  if (is_quick()) {
    static_cast<void>(insert_quickly(key));
    return;
  }
  const unsigned way = make_room(set);
  set_byte(set_at(set) + signature_words + std::size_t{way / chunk_ways} * 2, way % chunk_ways,
           key.signature());
  note_change(std::exchange(tags_of(set)[way], key.tag), key.tag);
}

void entry_table::unlink(link* links, unsigned way) {
  links[links[way].newer].older = links[way].older;
  links[links[way].older].newer = links[way].newer;
}

void entry_table::link_after(link* links, unsigned newer, unsigned way) {
  const std::uint16_t older = links[newer].older;
  links[way].newer = static_cast<std::uint16_t>(newer);
  links[way].older = older;
  links[newer].older = static_cast<std::uint16_t>(way);
  links[older].newer = static_cast<std::uint16_t>(way);
}

void entry_table::mark_used(std::uint64_t set, unsigned way) {
  if (order_ == order_kind::word) {
    std::uint64_t& word = set_at(set)[recency_word];
    recency_order order{word};
    order.use(way);
    word = order.word();
  } else if (order_ == order_kind::list) {
    link* links = links_of(set);
    unlink(links, way);
    link_after(links, ways_, way);
  } else if (order_ == order_kind::tree) {
    std::uint64_t& word = set_at(set)[recency_word];
    recency_tree tree{word};
    tree.use(way, ways_);
    word = tree.word();
  }
}

unsigned entry_table::make_room(std::uint64_t set) {
  unsigned way = 0;
  if (order_ == order_kind::word) {
    way = recency_order{set_at(set)[recency_word]}.at(ways_ - 1);
  } else if (order_ == order_kind::list) {
    way = links_of(set)[ways_].newer;  // the ring's end is the oldest
  } else {
    const auto* tags = tags_of(set);
    const auto* empty = std::find(tags, tags + ways_, 0);
    if (empty != tags + ways_) {
      way = static_cast<unsigned>(empty - tags);
    } else if (order_ == order_kind::tree) {
      way = recency_tree{set_at(set)[recency_word]}.oldest(ways_);
    } else {
      way = static_cast<unsigned>(random_.front().below(ways_));
    }
  }
  mark_used(set, way);
  return way;
}

void entry_table::erase_way(std::uint64_t set, unsigned way) {
  std::uint64_t& tag = tags_of(set)[way];
  --live_[kind_of(tag)];
  tag = 0;
  if (order_ == order_kind::position) {
    std::rotate(&tag, &tag + 1, tags_of(set) + ways_);
  } else if (order_ == order_kind::word) {
    std::uint64_t& word = set_at(set)[recency_word];
    recency_order order{word};
    order.retire(way, span_);
    word = order.word();
  } else if (order_ == order_kind::list) {
    link* links = links_of(set);
    unlink(links, way);
    link_after(links, links[ways_].newer, way);
  }
}

unsigned entry_table::erase(const entry_key& key) {
  const std::uint64_t set = set_of(key.number);
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
    if (set_at(set)[generation_word] != generation_) continue;
    // From the back, for those behind an erased way may move up.
    for (unsigned way = ways_; way-- > 0;) {
      const std::uint64_t tag = tags_of(set)[way];
      if (tag != 0 && (tag & mask) == value) erase_way(set, way);
    }
  }
  kind_counts erased{};
  for (unsigned kind = 0; kind < kinds; ++kind) erased[kind] = before[kind] - live_[kind];
  return erased;
}

void entry_table::clear_set(std::uint64_t set) {
  std::uint64_t* const words = set_at(set);
  words[generation_word] = generation_;
  words[recency_word] = order_ == order_kind::word ? recency_order::initial(span_).word() : 0;
  std::fill_n(tags_of(set), ways_, 0);
  if (order_ != order_kind::list) return;
  link* links = links_of(set);
  for (unsigned i = 0; i <= ways_; ++i) {
    links[i] = {.newer = static_cast<std::uint16_t>(i == 0 ? ways_ : i - 1),
                .older = static_cast<std::uint16_t>(i == ways_ ? 0 : i + 1)};
  }
}

void entry_table::add_to(digest& sum) const {
  const bool by_way = order_ == order_kind::tree || order_ == order_kind::random;
  for (std::uint64_t set = 0; set < sets_; ++set) {
    sum.add(0);
    const std::uint64_t* const words = set_at(set);
    if (words[generation_word] != generation_) continue;
    if (by_way) sum.add(words[recency_word]);
    // With LRU it is the order that counts, not which way an entry is in; empty ways come last.
    const link* links = order_ == order_kind::list ? &links_[set * (ways_ + 1)] : nullptr;
    unsigned way = ways_;
    for (unsigned i = 0; i < ways_; ++i) {
      way = links != nullptr ? links[way].older : i;
      if (order_ == order_kind::word) way = recency_order{words[recency_word]}.at(i);
      const std::uint64_t tag = tags_of(set)[way];
      if (tag == 0 && !by_way) break;
      sum.add(tag);
    }
  }
  for (random_stream stream : random_) sum.add(stream.below(~std::uint64_t{0}));
}

}  // namespace memsim::detail
