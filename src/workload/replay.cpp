// SPDX-License-Identifier: Apache-2.0
#include <memsim/workload/replay.hpp>

#include <algorithm>
#include <bit>
#include <utility>

#include <boost/unordered/unordered_flat_map.hpp>

#include <memsim/alloc/observer.hpp>
#include <memsim/alloc/page_allocator.hpp>

#include "workload/prior_use.hpp"

namespace memsim {
namespace {

// The block that stands for one of the recording.
struct live_block {
  pfn here{};
  memsim::order size{};
  bool served = false;  // false: the request failed here
};

using live_blocks = boost::unordered_flat_map<std::uint64_t, live_block>;

}  // namespace

class trace_replayer::impl final : public allocator_observer {
 public:
  impl(page_allocator& memory, const replay_options& options, replay_sampler sampler)
      : memory_{memory},
        options_{options},
        sampler_{std::move(sampler)},
        prior_{memory, options.seed} {
    memory_.add_observer(*this);
  }
  ~impl() override { memory_.remove_observer(*this); }
  impl(const impl&) = delete;
  impl& operator=(const impl&) = delete;

  std::expected<void, error> feed(const trace_event& event) {
    if (auto ok = check(event); !ok) return ok;
    advance(event.time);
    ++summary_.events[static_cast<unsigned>(event.kind)];
    ctx_.cpu = event.cpu;
    switch (event.kind) {
      case trace_event_kind::allocation: allocate(event); break;
      case trace_event_kind::free: free(event); break;
      case trace_event_kind::fallback: note_recorded(event); break;
      // A page of a batch was freed by its mm_page_free. What moves between the per-CPU lists and
      // the free lists is decided here anew.
      case trace_event_kind::batched_free:
      case trace_event_kind::zone_locked:
      case trace_event_kind::pcp_drain: break;
    }
    return {};
  }

  void finish() { sample(summary_.duration); }

  const replay_summary& summary() {
    summary_.done = ctx_.done;
    counts_.live_blocks = live_.size();
    return summary_;
  }

  void on_fallback(const fallback_event& event) override {
    ++counts_.fallbacks;
    note(summary_.fallbacks, summary_.fallbacks_by_type,
         {.since_start = now(),
          .block = event.block,
          .requested = event.requested,
          .found = event.found,
          .wanted = event.wanted,
          .found_type = event.found_type});
  }

 private:
  [[nodiscard]] std::expected<void, error> check(const trace_event& event) const {
    if (event.cpu.value() >= memory_.cpus()) {
      return fail(errc::inconsistent,
                  "{} on CPU {}: the machine has CPUs 0 to {} (a machine file gives it more with "
                  "`cpus = {}`)",
                  event.kind, event.cpu, memory_.cpus() - 1, event.cpu.value() + 1);
    }
    const bool changes_memory = event.block && (event.kind == trace_event_kind::allocation ||
                                                event.kind == trace_event_kind::free);
    if (!changes_memory) return {};
    if (event.size > max_page_order) {
      return fail(errc::inconsistent, "{} of order {}: the page allocator serves orders 0 to {}",
                  event.kind, event.size, max_page_order);
    }
    if (event.block->value() % event.size.frames() != 0) {
      return fail(errc::inconsistent, "{} of frame {}: it is not aligned to order {}", event.kind,
                  *event.block, event.size);
    }
    if (event.flags.has_all(gfp_flag::movable | gfp_flag::reclaimable)) {
      return fail(errc::inconsistent, "{} with flags {}: movable and reclaimable", event.kind,
                  event.flags);
    }
    return {};
  }

  // Samples and clock.

  [[nodiscard]] std::chrono::nanoseconds now() const { return summary_.duration; }

  void sample(std::chrono::nanoseconds since_start) {
    if (!sampler_) return;
    counts_.live_blocks = live_.size();
    sampler_(since_start, memory_, counts_);
  }

  void advance(std::chrono::nanoseconds time) {
    if (!start_) {
      start_ = time;
      sample(std::chrono::nanoseconds{0});
      return;
    }
    const auto since_start = time - *start_;
    if (since_start < now()) {
      ++counts_.out_of_order;
      return;
    }
    const auto interval = options_.sample_interval;
    if (interval.count() > 0 && since_start - last_sample_ >= interval) {
      last_sample_ = since_start / interval * interval;
      sample(last_sample_);
    }
    summary_.duration = since_start;
  }

  // Fallbacks of both sides.

  void note(std::vector<replay_fallback>& list, fallback_matrix& matrix,
            const replay_fallback& fallback) const {
    ++matrix[static_cast<unsigned>(fallback.wanted)][static_cast<unsigned>(fallback.found_type)];
    if (list.size() < options_.kept_fallbacks) list.push_back(fallback);
  }

  void note_recorded(const trace_event& event) {
    ++counts_.recorded_fallbacks;
    note(summary_.recorded_fallbacks, summary_.recorded_fallbacks_by_type,
         {.since_start = now(),
          .block = event.block.value_or(pfn{}),
          .requested = event.size,
          .found = event.found,
          .wanted = event.type,
          .found_type = event.found_type});
  }

  // Allocations.

  void allocate(const trace_event& event) {
    if (!event.block) {
      ++counts_.failed_in_recording;
      return;
    }
    if (migratetype_of(event.flags) != event.type) ++counts_.type_mismatches;
    release_overlapped(*event.block, event.size);

    live_block block{.size = event.size};
    if (const auto got = memory_.alloc(ctx_, event.size, event.flags)) {
      ++counts_.allocations;
      counts_.allocated_pages += event.size.frames();
      block.here = *got;
      block.served = true;
      const bool movable = options_.movable_on_lru == rule::on &&
                           migratetype_of(event.flags) == migratetype::movable;
      if (movable) memory_.set_movable(*got, rule::on);
    } else {
      ++counts_.failed;
    }
    insert(event.block->value(), block);
  }

  // An allocation over blocks that are live: the events of their frees were lost.
  void release_overlapped(pfn first, order size) {
    for (auto head = first.value(); head < first.value() + size.frames(); ++head) {
      const auto at = live_.find(head);
      if (at == live_.end()) continue;
      ++counts_.lost_frees;
      release(at);
    }
    if (const auto head = containing(first)) {
      ++counts_.lost_frees;
      release(live_.find(*head));
    }
  }

  // The head of the live block of which a frame is part, but not the head.
  [[nodiscard]] std::optional<std::uint64_t> containing(pfn frame) const {
    for (unsigned o = 1; o < page_orders; ++o) {
      if (live_by_order_[o] == 0) continue;
      const auto head = frame.value() >> o << o;
      if (head == frame.value()) continue;
      const auto at = live_.find(head);
      if (at != live_.end() && at->second.size == order{o}) return head;
    }
    return std::nullopt;
  }

  void insert(std::uint64_t head, const live_block& block) {
    live_.insert_or_assign(head, block);
    ++live_by_order_[block.size.value()];
  }

  // Frees.

  void free(const trace_event& event) {
    const pfn block = *event.block;
    auto at = live_.find(block.value());
    if (at == live_.end()) {
      const auto head = containing(block);
      if (!head) return free_prior(block, event.size);
      split(live_.find(*head), event.size);
    } else if (event.size < at->second.size) {
      split(at, event.size);
    } else if (event.size > at->second.size) {
      ++counts_.resized_frees;
    }
    at = live_.find(block.value());
    if (at != live_.end()) release(at);
  }

  // The kernel split a block without an event that says so, and frees its parts one by one.
  void split(live_blocks::iterator at, order part) {
    const auto head = at->first;
    const auto whole = at->second;
    if (part >= whole.size) return;
    ++counts_.split_blocks;
    erase(at);
    if (whole.served) memory_.split(whole.here, whole.size, part);
    for (frame_count offset = 0; offset < whole.size.frames(); offset += part.frames()) {
      auto block = whole;
      block.here += whole.served ? offset : 0;
      block.size = part;
      insert(head + offset, block);
    }
  }

  void release(live_blocks::iterator at) {
    const auto block = at->second;
    erase(at);
    if (!block.served) {
      ++counts_.frees_of_unserved;
      return;
    }
    give_back(block.here, block.size);
  }

  void erase(live_blocks::iterator at) {
    --live_by_order_[at->second.size.value()];
    live_.erase(at);
  }

  // A block from before the recording.
  void free_prior(pfn block, order size) {
    if (prior_.take(block, size)) {
      ++counts_.adopted;
      return give_back_prior(block, size);
    }
    if (const auto other = prior_.take_other(block, size)) {
      ++counts_.substituted;
      return give_back_prior(*other, size);
    }
    ++counts_.not_found;
  }

  void give_back_prior(pfn block, order size) {
    memory_.adopt(block, size);
    give_back(block, size);
  }

  void give_back(pfn block, order size) {
    memory_.free(ctx_, block, size);
    ++counts_.frees;
    counts_.freed_pages += size.frames();
  }

  page_allocator& memory_;
  replay_options options_;
  replay_sampler sampler_;
  detail::prior_use prior_;
  live_blocks live_;  // by the first frame in the recording; never iterated over
  std::array<std::uint64_t, page_orders> live_by_order_{};
  context ctx_{};
  replay_summary summary_{};
  replay_counts& counts_ = summary_.counts;
  std::optional<std::chrono::nanoseconds> start_;
  std::chrono::nanoseconds last_sample_{0};
};

trace_replayer::trace_replayer(page_allocator& memory, const replay_options& options,
                               replay_sampler sampler)
    : impl_{std::make_unique<impl>(memory, options, std::move(sampler))} {}
trace_replayer::~trace_replayer() = default;

std::expected<void, error> trace_replayer::feed(const trace_event& event) {
  return impl_->feed(event);
}
void trace_replayer::finish() { impl_->finish(); }
const replay_summary& trace_replayer::summary() const { return impl_->summary(); }

std::expected<replay_summary, error> replay(ftrace_reader& trace, page_allocator& memory,
                                            const replay_options& options, replay_sampler sampler) {
  trace_replayer replayer{memory, options, std::move(sampler)};
  while (true) {
    const auto event = trace.next();
    if (!event) return std::unexpected{event.error()};
    if (!*event) break;
    if (const auto ok = replayer.feed(**event); !ok) {
      if (auto passed = trace.refuse(ok.error()); !passed) {
        return std::unexpected{std::move(passed).error()};
      }
    }
  }
  replayer.finish();
  auto summary = replayer.summary();
  summary.lines = trace.line();
  summary.malformed_lines = trace.malformed_lines();
  summary.first_malformed = trace.first_malformed();
  summary.lost_events = trace.lost_events();
  summary.skipped = trace.skipped();
  return summary;
}

}  // namespace memsim
