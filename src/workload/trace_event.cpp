// SPDX-License-Identifier: Apache-2.0
#include <memsim/workload/trace_event.hpp>

#include <array>

namespace memsim {

std::string_view name_of(trace_event_kind kind) {
  static constexpr std::array<std::string_view, trace_event_kinds> names{
      "mm_page_alloc",
      "mm_page_free",
      "mm_page_free_batched",
      "mm_page_alloc_extfrag",
      "mm_page_alloc_zone_locked",
      "mm_page_pcpu_drain"};
  return names[static_cast<unsigned>(kind)];
}

std::string to_text(trace_event_kind kind) { return std::string{name_of(kind)}; }

std::string to_text(const trace_event& event) {
  const auto ns = event.time.count();
  std::string text = fmt::format("{}.{:09} cpu {} {} {} order {}", ns / 1'000'000'000,
                                 ns % 1'000'000'000, event.cpu, event.kind,
                                 event.block ? to_text(*event.block) : "failed", event.size);
  switch (event.kind) {
    case trace_event_kind::allocation:
      return fmt::format("{} {} {}", text, event.type, event.flags);
    case trace_event_kind::fallback:
      return fmt::format("{} {} from order {} {}", text, event.type, event.found, event.found_type);
    case trace_event_kind::zone_locked:
    case trace_event_kind::pcp_drain: return fmt::format("{} {}", text, event.type);
    case trace_event_kind::free:
    case trace_event_kind::batched_free: break;
  }
  return text;
}

}  // namespace memsim
