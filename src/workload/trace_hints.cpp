// SPDX-License-Identifier: Apache-2.0
#include <memsim/workload/trace_hints.hpp>

#include <algorithm>

#include <memsim/workload/ftrace_reader.hpp>
#include <memsim/workload/machine_description.hpp>
#include <memsim/workload/trace_event.hpp>

namespace memsim {
namespace {

// A frame's byte: its place in two bits, then its last allocation's type + 1 in two.
constexpr unsigned place_mask = 3;
constexpr unsigned type_shift = 2;

}  // namespace

trace_hints::trace_hints(const machine_description& machine)
    : end_{machine.end()}, frames_{end_.value() + 1}, blocks_{end_.value() / pageblock_frames + 1} {
  for (const auto& z : machine.zones) {
    zones_.push_back({.type = z.extent.type, .first = z.extent.start, .last = z.extent.end()});
    zones_.back().cpus.resize(machine.cpus());
  }
}

void trace_hints::add(const trace_event& event) {
  if (!event.block || *event.block >= end_) return;
  if (event.size == order{0}) count(event);
  switch (event.kind) {
    case trace_event_kind::free: note(*event.block, event.size, place::in_use); break;
    case trace_event_kind::allocation:
      note(*event.block, event.size, place::per_cpu_list);
      note_type(*event.block, event.type);
      break;
    case trace_event_kind::zone_locked:
      shows_free_lists_ = true;
      note(*event.block, event.size, place::free_list);
      break;
    case trace_event_kind::pcp_drain: note(*event.block, event.size, place::per_cpu_list); break;
    case trace_event_kind::batched_free:
    case trace_event_kind::fallback: return;
  }
  const bool list_known =
      event.kind == trace_event_kind::zone_locked || event.kind == trace_event_kind::pcp_drain;
  auto& type = blocks_[event.block->value() / pageblock_frames];
  if (list_known && type == 0) {
    type = static_cast<std::uint8_t>(static_cast<unsigned>(event.type) + 1);
  }
}

void trace_hints::note(pfn first, order size, place where) {
  const auto last = first.value() + std::min(size, max_page_order).frames();
  for (auto frame = first.value(); frame < std::min(last, end_.value()); ++frame) {
    auto& known = frames_[frame];
    if ((known & place_mask) == 0) {
      known = static_cast<std::uint8_t>(known | static_cast<unsigned>(where));
    }
  }
}

void trace_hints::note_type(pfn frame, migratetype type) {
  if (!is_mergeable(type)) return;
  auto& known = frames_[frame.value()];
  known = static_cast<std::uint8_t>((known & place_mask) | (static_cast<unsigned>(type) + 1)
                                                               << type_shift);
}

// The list that a freed page goes to is that of its pageblock's type, if that is known; most pages
// lie in pageblocks of the type that they were allocated as (modelling assumption).
migratetype trace_hints::freed_type(pfn frame) const {
  if (const auto type = pageblock_type(frame.value() / pageblock_frames)) {
    return is_mergeable(*type) ? *type : migratetype::movable;
  }
  const unsigned type = frames_[frame.value()] >> type_shift;
  return type == 0 ? migratetype::movable : all_migratetypes[type - 1];
}

trace_hints::list_balance* trace_hints::balance_of(const trace_event& event, migratetype type) {
  if (!is_mergeable(type)) return nullptr;
  for (auto& zone : zones_) {
    if (*event.block < zone.first || *event.block >= zone.last) continue;
    if (event.cpu.value() >= zone.cpus.size()) return nullptr;
    return &zone.cpus[event.cpu.value()][static_cast<unsigned>(type)];
  }
  return nullptr;
}

// Follows the length of a CPU's list of single pages until it is first refilled: it was empty then.
void trace_hints::count(const trace_event& event) {
  const bool freed = event.kind == trace_event_kind::free;
  auto* list = balance_of(event, freed ? freed_type(*event.block) : event.type);
  if (list == nullptr || list->ran_dry) return;
  switch (event.kind) {
    case trace_event_kind::free: ++list->pages; break;
    case trace_event_kind::allocation:
    case trace_event_kind::pcp_drain: --list->pages; break;
    case trace_event_kind::zone_locked: list->ran_dry = true; break;
    case trace_event_kind::batched_free:
    case trace_event_kind::fallback: return;
  }
  list->lowest = std::min(list->lowest, list->pages);
}

std::expected<void, error> trace_hints::read(ftrace_reader& trace) {
  while (true) {
    const auto event = trace.next();
    if (!event) return std::unexpected{event.error()};
    if (!*event) return {};
    add(**event);
  }
}

trace_hints::place trace_hints::at(pfn frame) const {
  if (frame >= end_) return place::unknown;
  const auto where = static_cast<place>(frames_[frame.value()] & place_mask);
  // A recording that does not show the free lists cannot tell them from the per-CPU lists.
  return where == place::per_cpu_list && !shows_free_lists_ ? place::free_list : where;
}

bool trace_hints::any_known(pfn first, frame_count count) const {
  const auto last = std::min(first.value() + count, end_.value());
  for (auto frame = first.value(); frame < last; ++frame) {
    if ((frames_[frame] & place_mask) != 0) return true;
  }
  return false;
}

bool trace_hints::any_held(pfn first, frame_count count) const {
  const auto held = static_cast<unsigned>(shows_free_lists_ ? place::per_cpu_list : place::in_use);
  const auto last = std::min(first.value() + count, end_.value());
  for (auto frame = first.value(); frame < last; ++frame) {
    if ((frames_[frame] & place_mask) >= held) return true;
  }
  return false;
}

std::optional<migratetype> trace_hints::pageblock_type(std::uint64_t pageblock) const {
  if (pageblock >= blocks_.size() || blocks_[pageblock] == 0) return std::nullopt;
  return all_migratetypes[blocks_[pageblock] - 1u];
}

trace_hints::list_length trace_hints::per_cpu(zone_type zone, cpu_id cpu, migratetype type) const {
  if (!shows_free_lists_ || !is_mergeable(type)) return {};
  for (const auto& z : zones_) {
    if (z.type != zone || cpu.value() >= z.cpus.size()) continue;
    const auto& list = z.cpus[cpu.value()][static_cast<unsigned>(type)];
    return {.pages = static_cast<std::uint64_t>(-list.lowest), .exact = list.ran_dry};
  }
  return {};
}

}  // namespace memsim
