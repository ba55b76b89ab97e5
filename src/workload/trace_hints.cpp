// SPDX-License-Identifier: Apache-2.0
#include <memsim/workload/trace_hints.hpp>

#include <algorithm>

#include <memsim/workload/ftrace_reader.hpp>
#include <memsim/workload/trace_event.hpp>

namespace memsim {

trace_hints::trace_hints(pfn end)
    : end_{end},
      frames_{std::max<std::uint64_t>(end.value(), 1)},
      blocks_{end.value() / pageblock_frames + 1} {}

void trace_hints::add(const trace_event& event) {
  if (!event.block || *event.block >= end_) return;
  switch (event.kind) {
    case trace_event_kind::free: note(*event.block, event.size, frame_hint::in_use); break;
    case trace_event_kind::allocation: note(*event.block, event.size, frame_hint::free); break;
    case trace_event_kind::zone_locked:
    case trace_event_kind::pcp_drain: {
      note(*event.block, event.size, frame_hint::free);
      auto& type = blocks_[event.block->value() / pageblock_frames];
      if (type == 0) type = static_cast<std::uint8_t>(static_cast<unsigned>(event.type) + 1);
      break;
    }
    case trace_event_kind::batched_free:
    case trace_event_kind::fallback: break;
  }
}

void trace_hints::note(pfn first, order size, frame_hint hint) {
  const auto last = first.value() + std::min(size, max_page_order).frames();
  for (auto frame = first.value(); frame < std::min(last, end_.value()); ++frame) {
    auto& known = frames_[frame];
    if (known == 0) known = static_cast<std::uint8_t>(hint);
  }
}

std::expected<void, error> trace_hints::read(ftrace_reader& trace) {
  while (true) {
    const auto event = trace.next();
    if (!event) return std::unexpected{event.error()};
    if (!*event) return {};
    add(**event);
  }
}

trace_hints::frame_hint trace_hints::at(pfn frame) const {
  return frame < end_ ? static_cast<frame_hint>(frames_[frame.value()]) : frame_hint::unknown;
}

bool trace_hints::any_in_use(pfn first, frame_count count) const {
  const auto* begin = frames_.data();
  const auto last = std::min(first.value() + count, end_.value());
  if (first.value() >= last) return false;
  return std::find(begin + first.value(), begin + last,
                   static_cast<std::uint8_t>(frame_hint::in_use)) != begin + last;
}

bool trace_hints::any(pfn first, frame_count count) const {
  const auto* begin = frames_.data();
  const auto last = std::min(first.value() + count, end_.value());
  if (first.value() >= last) return false;
  return std::any_of(begin + first.value(), begin + last, [](std::uint8_t f) { return f != 0; });
}

std::optional<migratetype> trace_hints::pageblock_type(std::uint64_t pageblock) const {
  if (pageblock >= blocks_.size() || blocks_[pageblock] == 0) return std::nullopt;
  return all_migratetypes[blocks_[pageblock] - 1u];
}

}  // namespace memsim
