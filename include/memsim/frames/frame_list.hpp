// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Doubly linked lists of frames, by number, through one column of links that all of them share.

#include <cstdint>

#include <memsim/frames/frame_table.hpp>
#include <memsim/frames/lazy_array.hpp>

namespace memsim {

/// The links of every frame; a frame is on one list at most. Who puts frames on lists says for
/// which pageblocks a copy must be made.
class frame_links {
 public:
  using node = frame_table::node;
  static constexpr node none = ~node{0};

  struct link {
    node next = 0;  ///< towards the tail
    node previous = 0;
  };

  explicit frame_links(std::size_t frames) : links_{frames} {}

  [[nodiscard]] link& operator[](node frame) { return links_[frame]; }
  [[nodiscard]] const link& operator[](node frame) const { return links_[frame]; }

 private:
  detail::lazy_array<link> links_;
};

/// One list: its ends and its length. The links are handed in.
class frame_list {
 public:
  using node = frame_links::node;
  static constexpr node none = frame_links::none;

  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] std::uint64_t size() const { return size_; }
  [[nodiscard]] node head() const { return head_; }
  [[nodiscard]] node tail() const { return tail_; }

  void push_front(frame_links& links, node frame) {
    links[frame] = {.next = head_, .previous = none};
    (head_ == none ? tail_ : links[head_].previous) = frame;
    head_ = frame;
    ++size_;
  }
  void push_back(frame_links& links, node frame) {
    links[frame] = {.next = none, .previous = tail_};
    (tail_ == none ? head_ : links[tail_].next) = frame;
    tail_ = frame;
    ++size_;
  }
  /// A frame of this list leaves it.
  void remove(frame_links& links, node frame) {
    const auto [next, previous] = links[frame];
    (previous == none ? head_ : links[previous].next) = next;
    (next == none ? tail_ : links[next].previous) = previous;
    --size_;
  }

 private:
  node head_ = none;
  node tail_ = none;
  std::uint64_t size_ = 0;
};

}  // namespace memsim
