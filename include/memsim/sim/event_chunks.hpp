// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Where scheduled events are while they wait: lists that only grow at the end, in chunks of one
/// pool.
///
/// A chunk is a few cache lines read and written in sequence, and the chunk that was emptied last
/// is the one that is filled next. Everything is an index, so a copy of the pool is a pool.

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace memsim::detail {

/// Who an event is, in one word, which is moved at once: its slot, the version of the slot, and
/// above them its priority.
class event_name {
 public:
  static constexpr unsigned priority_bits = 6;
  static constexpr unsigned version_bits = 26;

  constexpr event_name() = default;
  /// \param level    event_priority::level()
  /// \param version  the lowest bits count
  constexpr event_name(unsigned level, std::uint32_t version, std::uint32_t slot)
      : word_{std::uint64_t{level} << (64 - priority_bits) |
              std::uint64_t{version << priority_bits >> priority_bits} << 32 | slot} {}

  [[nodiscard]] constexpr unsigned level() const {
    return static_cast<unsigned>(word_ >> (64 - priority_bits));
  }
  [[nodiscard]] constexpr std::uint32_t version() const {
    return static_cast<std::uint32_t>(word_ >> 32) << priority_bits >> priority_bits;
  }
  [[nodiscard]] constexpr std::uint32_t slot() const { return static_cast<std::uint32_t>(word_); }
  /// The same but for the priority.
  [[nodiscard]] constexpr event_name with_level(unsigned level) const {
    event_name other = *this;
    other.word_ = other.word_ << priority_bits >> priority_bits | std::uint64_t{level}
                                                                      << (64 - priority_bits);
    return other;
  }

  /// The next version; after the last it is 0 again.
  [[nodiscard]] static constexpr std::uint32_t version_after(std::uint32_t version) {
    return (version + 1) % (1u << version_bits);
  }

  friend constexpr bool operator==(event_name, event_name) = default;

 private:
  std::uint64_t word_ = 0;
};

/// An event as it is sorted: two words, of which four fit a cache line.
struct event_entry {
  std::uint64_t time = 0;  // ns
  event_name name{};

  [[nodiscard]] bool before(const event_entry& other) const {
    return time != other.time ? time < other.time : name.level() < other.name.level();
  }
};

inline constexpr std::uint32_t no_entry = ~std::uint32_t{0};
inline constexpr std::uint32_t chunk_entries = 32;

/// Chunks in a row, all full but the last. Entries are named by their places in the pool.
struct event_list {
  std::uint32_t head = no_entry;  // the first entry of the first chunk
  std::uint32_t next = 0;  // where the next one goes; at a chunk's beginning there is no room

  [[nodiscard]] bool empty() const { return head == no_entry; }
  [[nodiscard]] bool full() const { return next % chunk_entries == 0; }
  /// Whether all of it is in one chunk, with room for more; not asked of an empty one.
  [[nodiscard]] bool is_short() const { return next - head - 1 < chunk_entries - 1; }
};

class event_chunks {
 public:
  void append(event_list& list, const event_entry& e) {
    if (list.full()) grow(list);
    append_to_rest(list, e);
  }

  /// Adds a chunk to a list that is full or empty.
  void grow(event_list& list) {
    const std::uint32_t added = new_chunk();
    (list.empty() ? list.head : after_[(list.next - 1) / chunk_entries]) = added;
    list.next = added;
  }
  /// To a list that has a chunk with room.
  void append_to_rest(event_list& list, const event_entry& e) {
    // Word by word: so a new entry was written, and g++ would copy it by wider loads, which wait
    // until the words have reached the cache.
    event_entry& to = entries_[list.next++];
    to.time = e.time;
    to.name = e.name;
  }

  [[nodiscard]] event_entry& operator[](std::uint32_t place) { return entries_[place]; }
  [[nodiscard]] const event_entry& operator[](std::uint32_t place) const { return entries_[place]; }

  /// Frees the first chunk of a list that is not empty; if that was all, the list is.
  void drop_head(event_list& list) {
    const std::uint32_t dropped = list.head;
    list.head = following(list, dropped);
    if (list.empty()) list.next = 0;
    free(dropped);
  }

  /// Frees the chunk that begins with this entry.
  void free(std::uint32_t chunk) {
    after_[chunk / chunk_entries] = free_;
    free_ = chunk;
  }

  /// One past the last entry of a chunk of the list.
  [[nodiscard]] static std::uint32_t end_of(const event_list& list, std::uint32_t chunk) {
    return list.next - chunk - 1 < chunk_entries ? list.next : chunk + chunk_entries;
  }
  /// The chunk after this one of the list, or no_entry.
  [[nodiscard]] std::uint32_t following(const event_list& list, std::uint32_t chunk) const {
    return list.next - chunk - 1 < chunk_entries ? no_entry : after_[chunk / chunk_entries];
  }

  /// Entries of a list that is not empty, the last chunk counted as full.
  [[nodiscard]] std::uint64_t at_most(const event_list& list) const {
    std::uint64_t count = 0;
    for (std::uint32_t c = list.head; c != no_entry; c = following(list, c)) count += chunk_entries;
    return count;
  }

  /// Calls visit(entry) for each, in order, the first `skipped` ones left out.
  template <class Visit>
  void visit(const event_list& list, std::uint32_t skipped, Visit visit) const {
    for (std::uint32_t c = list.head; c != no_entry; c = following(list, c), skipped = 0) {
      const std::uint32_t end = end_of(list, c);
      for (std::uint32_t at = c + skipped; at != end; ++at) visit(entries_[at]);
    }
  }

  /// What is in the first chunk of a list that is not empty.
  [[nodiscard]] std::span<const event_entry> head_of(const event_list& list) const {
    return {&entries_[list.head], end_of(list, list.head) - list.head};
  }
  void prefetch_head(const event_list& list) const {
    constexpr std::uint32_t line = 64 / sizeof(event_entry);
    for (std::uint32_t at = list.head; at < end_of(list, list.head); at += line) {
      __builtin_prefetch(&entries_[at]);
    }
  }

  /// Calls visit(entry) as visit() does, and frees the chunks. What is called may append to other
  /// lists.
  template <class Consume>
  void consume(const event_list& list, std::uint32_t skipped, Consume consume) {
    for (std::uint32_t c = list.head; c != no_entry; skipped = 0) {
      const std::uint32_t end = end_of(list, c);
      for (std::uint32_t at = c + skipped; at != end; ++at) {
        const event_entry e =
            entries_[at];  // a copy, because entries move when there are more chunks
        consume(e);
      }
      free(std::exchange(c, following(list, c)));
    }
  }

 private:
  std::uint32_t new_chunk() {
    if (free_ != no_entry) return std::exchange(free_, after_[free_ / chunk_entries]);
    after_.push_back(no_entry);
    entries_.resize(after_.size() * chunk_entries);
    return static_cast<std::uint32_t>(entries_.size() - chunk_entries);
  }

  std::vector<event_entry> entries_;
  std::vector<std::uint32_t> after_;  // for each chunk, the one after it in its list
  std::uint32_t free_ = no_entry;
};

}  // namespace memsim::detail
