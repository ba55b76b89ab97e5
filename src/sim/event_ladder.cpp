// SPDX-License-Identifier: Apache-2.0
#include <memsim/sim/event_ladder.hpp>

namespace memsim::detail {

bool event_ladder::refill(std::uint64_t until) {
  while (near_.empty() && waiting_ == 0) {
    if (depth_ == 0) {
      if (far_.empty() || far_extent_.first > until) return false;
      take_far(until);
    } else if (rungs_[depth_ - 1].empty()) {
      --depth_;
    } else if (!take_bucket(rungs_[depth_ - 1], until)) {
      return false;
    }
  }
  return true;
}

void event_ladder::take_far(std::uint64_t until) {
  const event_list list = std::exchange(far_, event_list{});
  const extent what = std::exchange(far_extent_, extent{});
  if (list.is_short() && what.last - what.first < event_near::longest) {
    sort_near(list, {.start = what.first, .end = what.last + 1});
  } else {
    break_up(list, what, {.start = what.first, .end = end_of_time}, until);
  }
}

bool event_ladder::take_bucket(event_rung& rung, std::uint64_t until) {
  const unsigned bucket = rung.first();
  const std::uint64_t start = rung.start + (std::uint64_t{bucket} << rung.shift);
  if (start > until) return false;
  const period when{.start = start,
                    .end = std::min(start + (std::uint64_t{1} << rung.shift), rung.end)};
  const event_list list = rung.detach(bucket);
  if (list.is_short() && when.end - when.start <= event_near::longest) {
    sort_near(list, when);
  } else {
    break_up(list, extent_of(list, when), when, until);
  }
  return true;
}

// A list that is all there is in that time, and too long to be sorted.
void event_ladder::break_up(const event_list& list, const extent& what, period when,
                            std::uint64_t until) {
  if (what.first == what.last && what.first <= until) {
    line_time_ = what.first;
    chunks_.consume(list, 0, [this](const event_entry& e) { stand_in_line(e); });
  } else {
    event_rung& rung = new_rung(what, when);
    chunks_.consume(list, 0, [this, &rung](const event_entry& e) { put(rung, e); });
  }
}

// A list that is all there is in that time, and has room for more.
void event_ladder::sort_near(const event_list& list, period when) {
  if (!near_list_.empty()) chunks_.free(near_list_.head);
  near_list_ = list;
  near_period_ = when;
  near_.sort(chunks_.head_of(list), when.start);
}

// Near's chunk is full: if most of it has been taken, the others move up; if not, too much was
// pushed into the span of time that near stands for, and it becomes a rung.
void event_ladder::make_room_near(const event_entry& e) {
  event_list left;
  visit_near([&](const event_entry& near) {
    const event_entry moved = near;
    chunks_.append(left, moved);
  });
  const bool mostly_taken = near_.size() <= chunk_entries / 2;
  near_.clear();
  if (mostly_taken) {
    chunks_.append(left, e);
    sort_near(left, near_period_);
  } else {
    const period when = std::exchange(near_period_, period{});
    event_rung& rung = new_rung(extent_of(left, when), when);
    chunks_.consume(left, 0, [this, &rung](const event_entry& near) { put(rung, near); });
    place(e);
  }
}

// With buckets for about `wanted` entries each, as far as the entries are spread evenly.
event_rung& event_ladder::new_rung(const extent& what, period when) {
  constexpr std::uint64_t wanted = 24;
  constexpr int most_bits = event_rung::most_bits;
  const int bits = std::clamp(static_cast<int>(std::bit_width(what.count / wanted)), 1, most_bits);
  const int span_bits = static_cast<int>(std::bit_width(what.last - when.start));
  const int shift = std::max(span_bits - bits, 0);
  if (depth_ == rungs_.size()) rungs_.emplace_back();
  event_rung& rung = rungs_[depth_++];
  rung.start = when.start;
  rung.shift = static_cast<unsigned>(shift);
  rung.end = std::min(when.end, when.start + (std::uint64_t{1} << (shift + bits)));
  return rung;
}

// Exact if the first chunk looks as if all were of one time; otherwise what it can be at most,
// which is found without looking at every entry.
auto event_ladder::extent_of(const event_list& list, period when) const -> extent {
  extent what;
  for (const event_entry& e : chunks_.head_of(list)) what.add(e.time);
  if (what.first == what.last) {
    what = {};
    chunks_.visit(list, 0, [&what](const event_entry& e) { what.add(e.time); });
    return what;
  }
  return {.first = when.start, .last = when.end - 1, .count = chunks_.at_most(list)};
}

}  // namespace memsim::detail
