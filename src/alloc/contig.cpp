// SPDX-License-Identifier: Apache-2.0
// Contiguous ranges: everything in them is moved out, and they are taken (contig A5 to A7, A10).
#include <algorithm>
#include <bit>

#include "alloc/checks.hpp"
#include "alloc/free_lists.hpp"
#include "alloc/hot_path.hpp"
#include "alloc/isolation.hpp"
#include "alloc/migrate_scanner.hpp"
#include "alloc/migration.hpp"

namespace memsim::detail {
namespace {

constexpr auto block_size = static_cast<frame_index>(pageblock_frames);

// A6: any movable page elsewhere, reserves and CMA areas included.
class any_movable_page final : public target_source {
 public:
  any_movable_page(allocator_core& core, context& ctx) : core_{core}, ctx_{ctx} {}
  frame_index take(unsigned size) override {
    const auto huge = size > 0 ? gfp_flag::comp | gfp_flag::nowarn : gfp{};
    return core_.allocate_block(ctx_, order{size},
                                gfp_user | gfp_flag::movable | gfp_flag::retry_mayfail | huge);
  }
  void give_back(frame_index target) override {
    core_.free_block(ctx_, target, core_.order_of(target));
  }

 private:
  allocator_core& core_;
  context& ctx_;
};

// While one exists, pages join the LRU lists at once.
class lru_batches_bypassed {
 public:
  explicit lru_batches_bypassed(lru_state& lru) : lru_{lru} { ++lru_.bypass; }
  ~lru_batches_bypassed() { --lru_.bypass; }
  lru_batches_bypassed(const lru_batches_bypassed&) = delete;
  lru_batches_bypassed& operator=(const lru_batches_bypassed&) = delete;

 private:
  lru_state& lru_;
};

// One attempt at a range.
class range_request {
 public:
  range_request(allocator_core& core, context& ctx, frame_index first, frame_index last,
                migratetype type)
      : core_{core},
        ctx_{ctx},
        z_{core.zone_of(first)},
        first_{first},
        last_{last},
        isolation_{core, ctx, z_, first, last, type} {}

  // A5.
  std::expected<void, errc> take() {
    if (!isolation_.isolate()) return std::unexpected{errc::busy};
    core_.drain_zone_everywhere(ctx_, z_);
    auto result = empty_range();
    // What was busy may be free by now; what had no target is not.
    if (result || result.error() == errc::busy) result = take_free_blocks();
    isolation_.release();
    return result;
  }

 private:
  // A6.
  std::expected<void, errc> empty_range() {
    core_.flush_lru_batches();
    any_movable_page targets{core_, ctx_};
    page_mover mover{core_, ctx_, targets, migration_mode::sync};
    migrate_scanner scanner{core_, ctx_, z_, {.contiguous = true, .ignores_hints = true}};
    isolated_pages batch;
    auto outcome = std::expected<void, errc>{};
    {
      const lru_batches_bypassed direct{core_.lru_};
      for (std::uint64_t position = first_; outcome && position < last_;) {
        position = scanner.scan_range(position, last_, batch);
        outcome = move_batch(mover, batch);
      }
    }
    // The first taken was put at the end of the list.
    while (!batch.empty()) {
      core_.put_back_from_move(ctx_.cpu, batch.back());
      batch.pop_back();
    }
    return outcome;
  }

  std::expected<void, errc> move_batch(page_mover& mover, isolated_pages& batch) {
    constexpr int calls = 5;
    for (int call = 0; call < calls && !batch.empty(); ++call) {
      core_.drop_clean_pages(ctx_, batch);
      const auto outcome = mover.move(batch);
      if (outcome.out_of_targets) return std::unexpected{errc::no_memory};
    }
    if (!batch.empty()) return std::unexpected{errc::busy};
    return {};
  }

  // A5.4 to A5.7.
  std::expected<void, errc> take_free_blocks() {
    const frame_index outer = first_free_block();
    if (!is_all_free(outer)) return std::unexpected{errc::busy};
    frame_index position = outer;
    while (position < last_) {
      const frame_index begin = position;
      const frame_index block_end = std::min(last_, (position / block_size + 1) * block_size);
      while (position < block_end) position = take_block(position);
      core_.report_scan(scan_event::scanner::free, begin, std::min(position, block_end),
                        position - begin);
    }
    for (frame_index frame = outer; frame < first_; ++frame) core_.free_page(ctx_, frame);
    for (frame_index frame = last_; frame < position; ++frame) core_.free_page(ctx_, frame);
    return {};
  }

  // The free block that reaches into the range from before it, if there is one, or the range's
  // first frame.
  [[nodiscard]] frame_index first_free_block() const {
    for (unsigned order = 0; order < page_orders; ++order) {
      const frame_index head = first_ >> order << order;
      const auto mark = core_.frames_.mark_at(pfn{head});
      if (mark.use() != frame_use::free) continue;
      return head + (1u << mark.order()) > first_ ? head : first_;
    }
    return first_;
  }

  [[nodiscard]] bool is_all_free(frame_index outer) const {
    for (frame_index block = outer / block_size * block_size; block < last_; block += block_size) {
      if (core_.block_type(block) != migratetype::isolate) return false;
    }
    for (frame_index frame = outer; frame < last_;) {
      const auto mark = core_.frames_.mark_at(pfn{frame});
      if (mark.use() != frame_use::free) return false;
      frame += 1u << mark.order();
    }
    return true;
  }

  // A free block becomes pages in use. The end of it.
  frame_index take_block(frame_index head) {
    const unsigned order = core_.frames_.mark_at(pfn{head}).order();
    auto a = allocator_core::act(ctx_, z_);
    core_.remove(a, head, order);
    core_.hand_out_pages(head, order);
    return head + (1u << order);
  }

  allocator_core& core_;
  context& ctx_;
  zone& z_;
  frame_index first_;
  frame_index last_;
  range_isolation isolation_;
};

}  // namespace

std::expected<void, errc> allocator_core::take_range(context& ctx, frame_index first,
                                                     frame_index last, migratetype type) {
  ++counts_.range_requests;
  const auto migrated = counts_.pages_migrated;
  auto result = range_request{*this, ctx, first, last, type}.take();
  if (!result) {
    ++counts_.failed_range_requests;
    counts_.pages_migrated_in_vain += counts_.pages_migrated - migrated;
  }
  return result;
}

// A page cache page that is clean need not move: it can be read again.
void allocator_core::drop_clean_pages(context& ctx, std::vector<frame_index>& batch) {
  const auto kept = page_flag::anonymous | page_flag::swap_backed | page_flag::driver |
                    page_flag::dirty | page_flag::writeback | page_flag::pinned |
                    page_flag::unevictable;
  std::erase_if(batch, [&](frame_index frame) {
    const auto page = frames_.info(frame);
    if (page.flags.has_any(kept)) return false;
    if (!is_given_up(frame)) return false;
    const auto size = order_of(frame);
    frames_.set_info(frame, {});
    free_block(ctx, frame, size);
    counts_.clean_pages_dropped += 1u << size;
    return true;
  });
}

// The pages of a block that is on no list any more.
void allocator_core::hand_out_pages(frame_index head, unsigned order) {
  for (frame_index block = head / block_frames; block <= (head + (1u << order) - 1) / block_frames;
       ++block) {
    frames_.touch(block);
  }
  for (frame_index frame = head; frame < head + (1u << order); ++frame) {
    frames_.set_allocated(frame, 0);
  }
}

}  // namespace memsim::detail

namespace memsim {
namespace {

// A range may end beyond the zone that it begins in: in vain, but what is tried is tried.
void check_range(const detail::allocator_core& core, pfn first, frame_count count) {
  if (count == 0) throw_usage("a range of no frames at frame {}", first);
  for (const auto& z : core.zones_) {
    if (z.extent.start <= first && first < z.extent.end()) {
      const pfn end{std::uint64_t{core.frames_.pageblocks()} * pageblock_frames};
      if (count <= end - first) return;
      throw_usage("frames [{}, {}) end beyond memory, whose last block ends at {}", first,
                  first + count, end);
    }
  }
  throw_usage("frames [{}, {}) do not begin in a zone", first, first + count);
}

}  // namespace

std::expected<void, error> page_allocator::alloc_contig_range(context& ctx, pfn first,
                                                              frame_count count, migratetype type) {
  auto& core = *core_;
  detail::check_cpu(core, ctx.cpu);
  check_range(core, first, count);
  if (!is_mergeable(type) && type != migratetype::cma) {
    throw_usage("a contiguous range of type {}: it must be a type that requests have, or CMA",
                type);
  }
  const auto begin = static_cast<detail::frame_index>(first.value());
  const auto result =
      core.take_range(ctx, begin, begin + static_cast<detail::frame_index>(count), type);
  if (result) return {};
  return std::unexpected{error{result.error()}};
}

// A10.
std::expected<pfn, error> page_allocator::alloc_contig_pages(context& ctx, frame_count count,
                                                             gfp flags) {
  auto& core = *core_;
  detail::check_cpu(core, ctx.cpu);
  if (!std::has_single_bit(count)) {
    throw_usage("{} contiguous pages: the number must be a power of two", count);
  }
  const auto highest = highest_zone_of(flags);
  for (auto z = core.zones_.rbegin(); z != core.zones_.rend(); ++z) {
    if (z->extent.type > highest) continue;
    const pfn start{(z->extent.start.value() + count - 1) / count * count};
    for (pfn first = start; first + count <= z->extent.end(); first += count) {
      if (core.memory_.count(region_kind::ram, first, first + count) != count) continue;
      const auto begin = static_cast<detail::frame_index>(first.value());
      if (core.take_range(ctx, begin, begin + static_cast<detail::frame_index>(count),
                          migratetype::movable)) {
        return first;
      }
    }
  }
  return std::unexpected{error{errc::no_memory}};
}

void page_allocator::free_contig_range(context& ctx, pfn first, frame_count count) {
  auto& core = *core_;
  for (frame_count i = 0; i < count; ++i) {
    if (!detail::is_allocated(core, first + i, order{0})) {
      throw_usage("frames [{}, {}) are not all pages in use: frame {} is {}", first, first + count,
                  first + i, detail::describe(core, first + i));
    }
    if (core.pins_.contains(static_cast<detail::frame_index>((first + i).value()))) {
      throw_usage("frames [{}, {}) cannot be freed: frame {} is pinned", first, first + count,
                  first + i);
    }
  }
  for (frame_count i = 0; i < count; ++i) free(ctx, first + i, order{0});
}

}  // namespace memsim
