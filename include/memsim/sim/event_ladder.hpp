// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// What sorts the events: a ladder queue (Tang, Goh and Thng, ACM TOMACS 15:3, 2005), which does by
/// throwing entries into buckets what a heap does by comparing them.
///
/// Time never runs backwards, so what is far off need not be sorted yet:
///
///     near        a short sorted array, the next entry at its end
///     rungs       buckets of equal width; the last rung is one bucket of the rung above, in finer
///                 buckets, and so on
///     far         what is after the first rung, in no order
///
/// To push is to append to a bucket. When near is empty, the first bucket of the last rung is
/// taken. A short one is sorted into near, which takes all that is pushed into that span of time
/// from then on. A long one becomes a rung of as many buckets as make them short. So an entry is
/// touched three or four times, in sequence, where a heap of a million entries touches twenty
/// places all over.
///
/// A long bucket whose entries are all of one time is a `line`: queues, one for each priority.
///
/// First come, first served needs no sequence numbers. A bucket is in order of pushing, because the
/// entries that come down to it were all pushed before any that is pushed to it directly; near
/// takes them in that order and puts each behind its equals.
///
/// Widths are powers of two. All is indices into arrays: a copy of the ladder is a ladder.

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <limits>
#include <span>
#include <utility>
#include <vector>

#include <memsim/sim/event_chunks.hpp>

namespace memsim::detail {

/// Buckets of equal width from `start` on.
struct event_rung {
  static constexpr int most_bits = 10;
  static constexpr unsigned none = ~0u;

  std::uint64_t start = 0;
  std::uint64_t end = 0;  // the last bucket may be cut off
  unsigned shift = 0;     // log2 of the width
  std::uint32_t occupied_words = 0;
  std::array<std::uint64_t, (1 << most_bits) / 64> occupied{};  // a bit for each bucket
  std::array<event_list, 1 << most_bits> buckets{};

  [[nodiscard]] bool empty() const { return occupied_words == 0; }
  /// The first bucket with something in it, or none.
  [[nodiscard]] unsigned first() const { return first_of(occupied_words); }
  /// The first one after `bucket`.
  [[nodiscard]] unsigned next(unsigned bucket) const {
    const unsigned word = bucket / 64;
    const std::uint64_t later = occupied[word] & ~std::uint64_t{1} << bucket % 64;
    if (later != 0) return word * 64 + static_cast<unsigned>(std::countr_zero(later));
    return first_of(occupied_words & ~1u << word);
  }
  void mark(unsigned bucket) {
    occupied[bucket / 64] |= std::uint64_t{1} << bucket % 64;
    occupied_words |= 1u << bucket / 64;
  }
  event_list detach(unsigned bucket) {
    std::uint64_t& word = occupied[bucket / 64];
    word &= ~(std::uint64_t{1} << bucket % 64);
    if (word == 0) occupied_words &= ~(1u << bucket / 64);
    return std::exchange(buckets[bucket], event_list{});
  }

 private:
  [[nodiscard]] unsigned first_of(std::uint32_t words) const {
    if (words == 0) return none;
    const auto word = static_cast<unsigned>(std::countr_zero(words));
    return word * 64 + static_cast<unsigned>(std::countr_zero(occupied[word]));
  }
};

/// The next few entries, which stay where they are in a chunk: what is sorted is one word for each,
/// of how long after `start` it is, its priority, and which entry of the chunk it is. Entries are
/// added to the chunk in order of pushing, so that equals are in that order, too.
class event_near {
 public:
  static constexpr unsigned place_bits = std::countr_zero(chunk_entries);
  static constexpr unsigned order_bits = place_bits + event_name::priority_bits;
  /// How long a time near can stand for.
  static constexpr std::uint64_t longest = std::uint64_t{1} << (64 - order_bits);

  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] std::uint32_t size() const { return size_; }
  /// The place of the next entry but `later`, in its chunk.
  [[nodiscard]] std::uint32_t place(std::uint32_t later = 0) const {
    return static_cast<std::uint32_t>(keys_[size_ - 1 - later] % chunk_entries);
  }
  void pop() { --size_; }
  void clear() { size_ = 0; }

  /// \param after  ns since the start, less than `longest`
  void insert(std::uint64_t after, unsigned level, std::uint32_t place) {
    const std::uint64_t key = key_of(after, level, place);
    std::uint32_t at = size_++;
    for (; at != 0 && keys_[at - 1] < key; --at) keys_[at] = keys_[at - 1];
    keys_[at] = key;
  }

  /// All entries of a chunk, in place of what there was.
  void sort(std::span<const event_entry> entries, std::uint64_t start) {
    std::array<std::uint64_t, chunk_entries> keys{};
    std::uint64_t greatest = 0;
    size_ = 0;
    for (const event_entry& e : entries) {
      keys[size_] = key_of(e.time - start, e.name.level(), size_);
      greatest = std::max(greatest, keys[size_++]);
    }
    // Four of the short ones fit a register of any host.
    if (greatest <= std::numeric_limits<std::int32_t>::max()) {
      rank<std::int32_t>(keys);
    } else {
      rank<std::uint64_t>(keys);
    }
  }

 private:
  static std::uint64_t key_of(std::uint64_t after, unsigned level, std::uint32_t place) {
    return after << order_bits | std::uint64_t{level} << place_bits | place;
  }

  // Puts each of the first size_ keys where as many greater ones go before it. Takes more
  // comparisons than any sorting, but hardly a branch that the host could guess wrong: the other
  // keys are 0, which is greater than nothing.
  template <class Key>
  void rank(const std::array<std::uint64_t, chunk_entries>& keys) {
    std::array<Key, chunk_entries> compared;
    std::ranges::transform(keys, compared.begin(),
                           [](std::uint64_t k) { return static_cast<Key>(k); });
    for (std::uint32_t i = 0; i != size_; ++i) {
      Key greater = 0;
      for (const Key key : compared) greater += static_cast<Key>(key > compared[i]);
      keys_[static_cast<std::size_t>(greater)] = keys[i];
    }
  }

  std::uint32_t size_ = 0;
  std::array<std::uint64_t, chunk_entries> keys_{};  // the next entry's last
};

class event_ladder {
 public:
  /// Adds an entry that is not before any that was taken.
  void push(const event_entry& e) {
    if (e.time < near_period_.end) {
      insert_near(e);
    } else if (waiting_ != 0 && e.time == line_time_) {
      stand_in_line(e);
    } else {
      place(e);
    }
  }

  /// Whether the next entries are sorted. If not, see in_line() and refill().
  [[nodiscard]] bool is_near() const { return !near_.empty(); }
  [[nodiscard]] const event_entry& next_near() const {
    return chunks_[near_list_.head + near_.place()];
  }
  void pop_near() { near_.pop(); }

  /// Calls visit(entry) for those that are likely to be near next: the time to fetch what is known
  /// to be needed, because at a million events nothing is in the host's caches.
  template <class Visit>
  void visit_soon(Visit visit) const {
    if (depth_ == 0) return;
    const event_rung& rung = rungs_[depth_ - 1];
    const unsigned bucket = rung.first();
    if (bucket == event_rung::none) return;
    for (const event_entry& e : chunks_.head_of(rung.buckets[bucket])) visit(e);
    const unsigned after = rung.next(bucket);
    if (after != event_rung::none) chunks_.prefetch_head(rung.buckets[after]);
  }

  /// Whether the next entries, if none is near, are those of one time, in line.
  [[nodiscard]] bool in_line() const { return waiting_ != 0; }
  /// Takes the first in line.
  event_entry take_in_line() {
    const auto level = static_cast<unsigned>(std::countr_zero(waiting_));
    event_list& queue = line_[level];
    std::uint32_t& served = served_[level];
    const event_entry e = chunks_[queue.head + served++];
    if (queue.head + served == chunks_.end_of(queue, queue.head)) {
      served = 0;
      chunks_.drop_head(queue);
      if (queue.empty()) waiting_ &= ~(std::uint64_t{1} << level);
    }
    return e;
  }

  /// With none near and nobody in line, sees to it that there is, looking no further than `until`.
  /// \return false if everything is after `until`; then the ladder still takes entries from `until`
  ///         on
  bool refill(std::uint64_t until);

  /// The first entry for which live(entry) is true, or null. Looks at all of the first bucket:
  /// nothing is moved, so that entries before this one may still come.
  template <class Live>
  [[nodiscard]] const event_entry* first(Live live) const;

  /// Removes the entries for which live(entry) is false.
  template <class Live>
  void sweep(Live live);

 private:
  static constexpr unsigned priorities = 64;
  static constexpr std::uint64_t end_of_time = std::numeric_limits<std::uint64_t>::max();

  // From start, and before end.
  struct period {
    std::uint64_t start = 0;
    std::uint64_t end = 0;
  };

  // What there is in a list.
  struct extent {
    std::uint64_t first = end_of_time;
    std::uint64_t last = 0;
    std::uint64_t count = 0;

    void add(std::uint64_t time) {
      first = std::min(first, time);
      last = std::max(last, time);
      ++count;
    }
  };

  template <class Visit>
  void visit_near(Visit visit) const {
    for (std::uint32_t i = 0; i != near_.size(); ++i) {
      visit(chunks_[near_list_.head + near_.place(i)]);
    }
  }

  void insert_near(const event_entry& e) {
    if (near_list_.full()) return make_room_near(e);
    near_.insert(e.time - near_period_.start, e.name.level(), near_list_.next - near_list_.head);
    chunks_.append_to_rest(near_list_, e);
  }

  void place(const event_entry& e) {
    for (unsigned r = depth_; r-- != 0;) {
      if (e.time < rungs_[r].end) return put(rungs_[r], e);
    }
    far_extent_.add(e.time);
    chunks_.append(far_, e);
  }

  void put(event_rung& rung, const event_entry& e) {
    const auto bucket = static_cast<unsigned>((e.time - rung.start) >> rung.shift);
    event_list& list = rung.buckets[bucket];
    if (list.full()) {
      rung.mark(bucket);
      chunks_.grow(list);
    }
    chunks_.append_to_rest(list, e);
  }

  void stand_in_line(const event_entry& e) {
    waiting_ |= std::uint64_t{1} << e.name.level();
    chunks_.append(line_[e.name.level()], e);
  }

  void take_far(std::uint64_t until);
  bool take_bucket(event_rung& rung, std::uint64_t until);
  void sort_near(const event_list& list, period when);
  void break_up(const event_list& list, const extent& what, period when, std::uint64_t until);
  event_rung& new_rung(const extent& what, period when);
  void make_room_near(const event_entry& e);
  [[nodiscard]] extent extent_of(const event_list& list, period when) const;

  event_near near_;
  event_list near_list_;       // one chunk, or none
  period near_period_;         // what is before its end belongs into near
  unsigned depth_ = 0;         // rungs in use
  std::uint64_t waiting_ = 0;  // a bit for each queue of the line
  std::uint64_t line_time_ = 0;
  std::vector<event_rung> rungs_;
  event_chunks chunks_;
  event_list far_;
  extent far_extent_;
  std::array<event_list, priorities> line_{};
  std::array<std::uint32_t, priorities> served_{};  // entries taken from the head of each queue
};

template <class Live>
auto event_ladder::first(Live live) const -> const event_entry* {
  const event_entry* found = nullptr;
  const auto look_at = [&](const event_entry& e) {
    if (live(e) && (found == nullptr || e.before(*found))) found = &e;
  };
  for (std::uint32_t i = 0; i != near_.size() && found == nullptr; ++i) {
    look_at(chunks_[near_list_.head + near_.place(i)]);
  }
  for (unsigned level = 0; level != priorities && found == nullptr; ++level) {
    chunks_.visit(line_[level], served_[level], look_at);
  }
  for (unsigned r = depth_; r-- != 0 && found == nullptr;) {
    const event_rung& rung = rungs_[r];
    for (unsigned b = rung.first(); b != event_rung::none && found == nullptr; b = rung.next(b)) {
      chunks_.visit(rung.buckets[b], 0, look_at);
    }
  }
  if (found == nullptr) chunks_.visit(far_, 0, look_at);
  return found;
}

template <class Live>
void event_ladder::sweep(Live live) {
  event_list left;
  visit_near([&](const event_entry& near) {
    const event_entry kept = near;
    if (live(kept)) chunks_.append(left, kept);
  });
  near_.clear();
  if (left.empty()) {
    near_period_ = {};
  } else {
    sort_near(left, near_period_);
  }

  const auto keep_in = [live](auto add) {
    return [live, add](const event_entry& e) {
      if (live(e)) add(e);
    };
  };
  for (unsigned level = 0; level < priorities; ++level) {
    waiting_ &= ~(std::uint64_t{1} << level);
    const event_list queue = std::exchange(line_[level], event_list{});
    chunks_.consume(queue, std::exchange(served_[level], 0),
                    keep_in([this](const event_entry& e) { stand_in_line(e); }));
  }
  for (unsigned r = 0; r != depth_; ++r) {
    event_rung& rung = rungs_[r];
    for (unsigned b = rung.first(); b != event_rung::none; b = rung.next(b)) {
      chunks_.consume(rung.detach(b), 0, keep_in([&](const event_entry& e) { put(rung, e); }));
    }
  }
  far_extent_ = {};
  chunks_.consume(std::exchange(far_, event_list{}), 0, keep_in([this](const event_entry& e) {
                    far_extent_.add(e.time);
                    chunks_.append(far_, e);
                  }));
}

}  // namespace memsim::detail
