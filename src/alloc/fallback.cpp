// SPDX-License-Identifier: Apache-2.0
// A block from the free lists of a zone, of another migratetype if need be (A6, A8, A9, B5).
#include "alloc/counters.hpp"
#include "alloc/free_lists.hpp"

namespace memsim::detail {
namespace {

// A block found on another type's list.
struct candidate {
  unsigned order = page_orders;
  migratetype type{};

  [[nodiscard]] explicit operator bool() const { return order != page_orders; }
};

// The first type to fall back to that has a block of exactly this order.
candidate candidate_at(const zone& z, unsigned order, migratetype wanted) {
  for (const auto type : fallbacks_of(wanted)) {
    if (z.free_orders[static_cast<unsigned>(type)] >> order & 1) return {order, type};
  }
  return {};
}

candidate largest_candidate(const zone& z, unsigned lowest, migratetype wanted) {
  for (unsigned order = page_orders; order-- > lowest;) {
    if (const auto found = candidate_at(z, order, wanted)) return found;
  }
  return {};
}

candidate smallest_candidate(const zone& z, unsigned lowest, migratetype wanted) {
  for (unsigned order = lowest; order < page_orders; ++order) {
    if (const auto found = candidate_at(z, order, wanted)) return found;
  }
  return {};
}

// A8.1: whether it is worth taking the whole pageblock over.
bool takes_whole_block(unsigned found, migratetype wanted) {
  return found >= pageblock_order.value() / 2 || wanted != migratetype::movable;
}

// A8.1: a no-fragment attempt takes whole pageblocks or nothing.
unsigned lowest_order_to_search(const request& wanted, attempt how) {
  return how.no_fragment && wanted.order < pageblock_order.value() ? pageblock_order.value()
                                                                   : wanted.order;
}

// A6.1: half of the free pages are CMA pages, as far as the counters tell.
bool cma_is_due(const zone& z) { return read_counter(z.free_cma) > read_counter(z.free_pages) / 2; }

}  // namespace

// A7; under B3 what is taken is counted at once, else the caller counts.
frame_index allocator_core::take_from(actor& a, unsigned order, migratetype type) {
  const auto frame = take_smallest(a, order, type);
  if (frame != no_frame && profile_.counters == counter_rule::per_block) {
    count_block(a, -(std::int64_t{1} << order), type);
  }
  return frame;
}

// A6, B5.
taken_block allocator_core::choose(actor& a, const request& wanted, attempt how,
                                   search_mode& mode) {
  if (how.cma && cma_is_due(a.z)) {
    const auto frame = take_from(a, wanted.order, migratetype::cma);
    if (frame != no_frame) return {frame, migratetype::cma};
  }
  return profile_.fallback == fallback_rule::move_then_retry
             ? choose_or_move(a, wanted, how)
             : choose_or_claim(a, wanted, how, mode);
}

// A6.2 to A6.4.
taken_block allocator_core::choose_or_move(actor& a, const request& wanted, attempt how) {
  do {
    if (const auto frame = take_from(a, wanted.order, wanted.type); frame != no_frame) {
      return {frame, wanted.type};
    }
    if (how.cma) {
      const auto frame = take_from(a, wanted.order, migratetype::cma);
      if (frame != no_frame) return {frame, migratetype::cma};
    }
  } while (move_fallback(a, wanted, how));
  return {};
}

// A8.
bool allocator_core::move_fallback(actor& a, const request& wanted, attempt how) {
  auto found = largest_candidate(a.z, lowest_order_to_search(wanted, how), wanted.type);
  if (!found) return false;
  bool whole_block = takes_whole_block(found.order, wanted.type);
  if (!whole_block && found.order > wanted.order) {
    found = smallest_candidate(a.z, wanted.order, wanted.type);
    whole_block = takes_whole_block(found.order, wanted.type);
  }
  const auto frame = first_block(a.z, found.order, found.type);
  convert(a, wanted, frame, found.order, whole_block);
  report_fallback(a, wanted, frame, found.order, found.type);
  return true;
}

// A9.
void allocator_core::convert(actor& a, const request& wanted, frame_index frame, unsigned found,
                             bool whole_block) {
  const auto old_type = block_type(frame);
  if (old_type == migratetype::highatomic) return move_alone(a, frame, found, wanted.type);
  if (found >= pageblock_order.value()) {
    for (frame_index i = 0; i < 1u << found; i += block_frames) {
      set_block_type(frame + i, wanted.type);
      ++counts_.pageblocks_converted;
    }
    return move_alone(a, frame, found, wanted.type);
  }
  boost_watermarks(a, wanted);
  if (!whole_block) return move_alone(a, frame, found, wanted.type);

  const auto range = pageblock_range(a.z, frame);
  if (!range.ends_in_zone) return move_alone(a, frame, found, wanted.type);
  const auto contents = census(a, range);
  move_free_blocks(a, range, wanted.type);
  if (has_enough_alike(contents, wanted.type, old_type)) {
    set_block_type(frame, wanted.type);
    ++counts_.pageblocks_converted;
  }
}

// B5. Each step is left out once a later one was needed, until a claim brings new blocks.
taken_block allocator_core::choose_or_claim(actor& a, const request& wanted, attempt how,
                                            search_mode& mode) {
  if (mode == search_mode::normal) {
    const auto frame = take_from(a, wanted.order, wanted.type);
    if (frame != no_frame) return {frame, wanted.type};
  }
  if (mode != search_mode::steal) {
    if (how.cma) {
      const auto frame = take_from(a, wanted.order, migratetype::cma);
      if (frame != no_frame) {
        mode = search_mode::cma;
        return {frame, migratetype::cma};
      }
    }
    if (const auto frame = claim(a, wanted, how); frame != no_frame) {
      mode = search_mode::normal;
      return {frame, wanted.type};
    }
  }
  if (!how.no_fragment) {
    if (const auto frame = steal(a, wanted); frame != no_frame) {
      mode = search_mode::steal;
      return {frame, wanted.type};
    }
  }
  return {};
}

// B5, claim: the largest block of another type whose pageblock can become the wanted one.
frame_index allocator_core::claim(actor& a, const request& wanted, attempt how) {
  const unsigned lowest = lowest_order_to_search(wanted, how);
  for (unsigned order = page_orders; order-- > lowest;) {
    const auto found = candidate_at(a.z, order, wanted.type);
    if (!found) continue;
    if (!takes_whole_block(order, wanted.type)) break;
    const auto block = first_block(a.z, order, found.type);
    const auto frame = claim_block(a, wanted, block, order, found.type);
    if (frame == no_frame) continue;
    report_fallback(a, wanted, frame, order, found.type);
    return frame;
  }
  return no_frame;
}

frame_index allocator_core::claim_block(actor& a, const request& wanted, frame_index frame,
                                        unsigned found, migratetype found_type) {
  const auto old_type = block_type(frame);
  if (old_type == migratetype::highatomic) return no_frame;
  if (found >= pageblock_order.value()) {
    count_block(a, -(std::int64_t{1} << found), found_type);
    remove(a, frame, found);
    for (frame_index i = 0; i < 1u << found; i += block_frames) {
      set_block_type(frame + i, wanted.type);
      ++counts_.pageblocks_converted;
    }
    split(a, frame, found, wanted.order, wanted.type);
    count_block(a, (std::int64_t{1} << found) - (std::int64_t{1} << wanted.order), wanted.type);
    return frame;
  }
  boost_watermarks(a, wanted);
  const auto range = pageblock_range(a.z, frame);
  if (!range.whole) return no_frame;
  if (!has_enough_alike(census(a, range), wanted.type, old_type)) return no_frame;
  move_free_blocks(a, range, wanted.type);
  set_block_type(frame, wanted.type);
  ++counts_.pageblocks_converted;
  return take_from(a, wanted.order, wanted.type);
}

// B5, steal: the smallest block of another type; the rest stays with that type.
frame_index allocator_core::steal(actor& a, const request& wanted) {
  const auto found = smallest_candidate(a.z, wanted.order, wanted.type);
  if (!found) return no_frame;
  const auto frame = first_block(a.z, found.order, found.type);
  remove(a, frame, found.order);
  split(a, frame, found.order, wanted.order, found.type);
  count_block(a, -(std::int64_t{1} << wanted.order), found.type);
  report_fallback(a, wanted, frame, found.order, found.type);
  return frame;
}

void allocator_core::report_fallback(const actor& a, const request& wanted, frame_index frame,
                                     unsigned found, migratetype found_type) {
  ++counts_.fallbacks;
  if (observers_.empty()) return;
  const fallback_event event{.zone = a.z.extent.type,
                             .block = pfn{frame},
                             .requested = order{wanted.order},
                             .found = order{found},
                             .wanted = wanted.type,
                             .found_type = found_type,
                             .pageblock_type = block_type(frame)};
  for (auto* observer : observers_) observer->on_fallback(event);
}

}  // namespace memsim::detail
