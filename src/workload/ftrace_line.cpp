// SPDX-License-Identifier: Apache-2.0
#include "workload/ftrace_line.hpp"

#include <limits>
#include <optional>

#include <fmt/format.h>

#include <memsim/core/text.hpp>
#include <memsim/frames/memory_map.hpp>

#include "workload/scan.hpp"

namespace memsim::detail {
namespace {

// The part of a line before the event's name.
struct line_head {
  cpu_id cpu{};
  std::chrono::nanoseconds time{};
};

// A line with its head understood.
struct headed_line {
  line_head head;
  std::string_view event;
  std::string_view fields;
};

constexpr unsigned max_cpu = 8191;  // CONFIG_NR_CPUS of the largest x86-64 kernels

// `4572.519436:`, `4572.519436123:`, or a bare number: the clocks that count something other than
// nanoseconds have no point, and what they count is taken as nanoseconds (modelling assumption).
std::optional<std::chrono::nanoseconds> parse_time(std::string_view word) {
  if (!word.ends_with(':')) return std::nullopt;
  word.remove_suffix(1);
  const auto whole = take_number<std::uint64_t>(word);
  if (!whole) return std::nullopt;
  constexpr std::uint64_t limit = std::numeric_limits<std::int64_t>::max();
  if (word.empty()) {
    if (*whole > limit) return std::nullopt;
    return std::chrono::nanoseconds{static_cast<std::int64_t>(*whole)};
  }

  constexpr std::size_t nanosecond_digits = 9;
  if (!take_prefix(word, ".")) return std::nullopt;
  const auto digits = word.size();
  auto fraction = to_number<std::uint64_t>(word);
  if (!fraction || digits > nanosecond_digits) return std::nullopt;
  for (auto d = digits; d < nanosecond_digits; ++d) *fraction *= 10;
  constexpr std::uint64_t second = 1'000'000'000;
  if (*whole > (limit - *fraction) / second) return std::nullopt;
  return std::chrono::nanoseconds{static_cast<std::int64_t>(*whole * second + *fraction)};
}

// `sh-10211   `, `my job-7 (  42) `: a process's name and number, perhaps its group.
bool is_task(std::string_view text) {
  text = without_blanks_behind(text);
  if (text.ends_with(')')) {
    const auto open = text.rfind('(');
    if (open == std::string_view::npos) return false;
    text = without_blanks_behind(text.substr(0, open));
  }
  const auto digits_begin = text.find_last_not_of("0123456789");
  return digits_begin != std::string_view::npos && digits_begin + 1 < text.size() &&
         text[digits_begin] == '-';
}

// `[001] d..1.  4572.519436: mm_page_alloc: FIELDS`; the column of flags may be missing.
std::optional<headed_line> parse_from_cpu(std::string_view text) {
  headed_line line;
  if (!take_prefix(text, "[")) return std::nullopt;
  const auto cpu = take_number<unsigned>(text);
  if (!cpu || *cpu > max_cpu || !take_prefix(text, "] ")) return std::nullopt;
  line.head.cpu = cpu_id{*cpu};

  auto time = parse_time(take_word(text));
  if (!time) time = parse_time(take_word(text));
  if (!time) return std::nullopt;
  line.head.time = *time;

  line.event = take_word(text);
  skip_blanks(text);
  line.fields = text;
  return line;
}

// Finds the column `[CPU]`. A process may have chosen a name that looks like one, but a name is
// within the first 16 columns, and what follows the true column is a time and an event.
std::optional<headed_line> parse_head(std::string_view text) {
  constexpr std::size_t name_columns = 17;
  for (const std::size_t from : {name_columns, std::size_t{0}}) {
    for (auto at = text.find('[', from); at != std::string_view::npos;
         at = text.find('[', at + 1)) {
      if (at == 0 || text[at - 1] != ' ') continue;
      auto line = parse_from_cpu(text.substr(at));
      if (line && is_task(text.substr(0, at))) return line;
    }
  }
  return std::nullopt;
}

// The fields that some page-allocator event has.
enum class field : unsigned char {
  pfn,
  order,
  migratetype,
  gfp_flags,
  alloc_order,
  fallback_order,
  alloc_migratetype,
  fallback_migratetype,
};

constexpr std::array<std::string_view, 8> field_names{
    "pfn",         "order",          "migratetype",       "gfp_flags",
    "alloc_order", "fallback_order", "alloc_migratetype", "fallback_migratetype"};

// A set of fields, one bit each.
template <class... Fields>
constexpr unsigned set_of(Fields... fields) {
  return ((1u << static_cast<unsigned>(fields)) | ...);
}

struct event_format {
  trace_event_kind kind;
  unsigned needed;  // fields without which the event is malformed
};

constexpr std::array event_formats{
    event_format{trace_event_kind::allocation,
                 set_of(field::pfn, field::order, field::migratetype, field::gfp_flags)},
    event_format{trace_event_kind::free, set_of(field::pfn, field::order)},
    event_format{trace_event_kind::batched_free, set_of(field::pfn)},
    event_format{trace_event_kind::fallback,
                 set_of(field::pfn, field::alloc_order, field::fallback_order,
                        field::alloc_migratetype, field::fallback_migratetype)},
    event_format{trace_event_kind::zone_locked,
                 set_of(field::pfn, field::order, field::migratetype)},
    event_format{trace_event_kind::pcp_drain, set_of(field::pfn, field::order, field::migratetype)},
};

const event_format* find_format(std::string_view name) {
  for (const auto& format : event_formats) {
    if (name_of(format.kind) == name) return &format;
  }
  return nullptr;
}

// `0x12c434`, or decimal as before Linux 5.14.
std::optional<pfn> parse_pfn(std::string_view text) {
  const int base = take_prefix(text, "0x") ? 16 : 10;
  const auto value = to_number<std::uint64_t>(text, base);
  if (!value || pfn{*value} >= max_frame_end) return std::nullopt;
  return pfn{*value};
}

// These read one field's text; the answer is why it is no such value, or empty.

std::string set_pfn(std::optional<pfn>& to, std::string_view text) {
  to = parse_pfn(text);
  if (to) return {};
  return fmt::format("allowed are frame numbers from 0 to {:#x}", max_frame_end.value() - 1);
}

std::string set_order(memsim::order& to, std::string_view text) {
  constexpr unsigned highest = 63;
  const auto value = to_number<unsigned>(text);
  if (!value || *value > highest) return fmt::format("allowed are orders from 0 to {}", highest);
  to = memsim::order{*value};
  return {};
}

std::string set_type(migratetype& to, std::string_view text) {
  const auto value = to_number<unsigned>(text);
  if (!value || *value >= migratetypes) {
    return fmt::format("allowed are migratetypes from 0 ({}) to {} ({})", all_migratetypes.front(),
                       migratetypes - 1, all_migratetypes.back());
  }
  to = all_migratetypes[*value];
  return {};
}

std::string set_flags(gfp& to, std::string_view text, gfp_memory& flags) {
  const auto read = flags.read(text);
  if (!read) return read.error().message();
  to = *read;
  return {};
}

std::string set_field(trace_event& event, field which, std::string_view text, gfp_memory& flags) {
  switch (which) {
    case field::pfn: return set_pfn(event.block, text);
    case field::order:
    case field::alloc_order: return set_order(event.size, text);
    case field::fallback_order: return set_order(event.found, text);
    case field::migratetype:
    case field::alloc_migratetype: return set_type(event.type, text);
    case field::fallback_migratetype: return set_type(event.found_type, text);
    case field::gfp_flags: return set_flags(event.flags, text, flags);
  }
  return "no such field";
}

std::optional<field> find_field(std::string_view name, unsigned among) {
  for (unsigned i = 0; i < field_names.size(); ++i) {
    if ((among & (1u << i)) != 0 && field_names[i] == name) return static_cast<field>(i);
  }
  return std::nullopt;
}

std::string_view first_name(unsigned fields) {
  for (unsigned i = 0; i < field_names.size(); ++i) {
    if ((fields & (1u << i)) != 0) return field_names[i];
  }
  return {};
}

ftrace_line parse_event(const event_format& format, const headed_line& line, gfp_memory& flags) {
  trace_event event{.kind = format.kind, .time = line.head.time, .cpu = line.head.cpu};
  unsigned missing = format.needed;
  std::string_view rest = line.fields;
  for (auto word = take_word(rest); !word.empty(); word = take_word(rest)) {
    const auto equals = word.find('=');
    if (equals == std::string_view::npos) {
      return malformed_line{fmt::format("\"{}\" is not a field", escaped(word, 32))};
    }
    const auto which = find_field(word.substr(0, equals), format.needed);
    if (!which) continue;  // page=, percpu_refill=, fragmenting=, … say nothing that is needed
    if ((missing & set_of(*which)) == 0) {
      return malformed_line{fmt::format("{}= comes twice", word.substr(0, equals))};
    }
    missing &= ~set_of(*which);
    if (const auto why = set_field(event, *which, word.substr(equals + 1), flags); !why.empty()) {
      return malformed_line{fmt::format("{}: {}", escaped(word, 64), why)};
    }
  }
  if (missing != 0) {
    return malformed_line{fmt::format("{} without {}=", name_of(format.kind), first_name(missing))};
  }
  // Frame 0 is never allocated on x86: the tracepoint prints it for a request that failed.
  if (event.kind == trace_event_kind::allocation && event.block == pfn{0}) event.block.reset();
  return event;
}

// `CPU:1 [LOST 12 EVENTS]`, `CPU:1 [LOST EVENTS]` of tracefs; `CPU:1 [12 EVENTS DROPPED]`,
// `CPU:1 [EVENTS DROPPED]` of trace-cmd.
std::optional<lost_events> parse_lost(std::string_view text) {
  if (!take_prefix(text, "CPU:") || !take_number<unsigned>(text) || !take_prefix(text, " [")) {
    return std::nullopt;
  }
  const bool kernel = take_prefix(text, "LOST ");
  lost_events lost;
  if (!text.empty() && is_digit(text.front())) {
    const auto count = take_number<std::uint64_t>(text);
    if (!count || !take_prefix(text, " ")) return std::nullopt;
    lost.count = *count;
  }
  if (without_blanks_behind(text) != (kernel ? "EVENTS]" : "EVENTS DROPPED]")) return std::nullopt;
  return lost;
}

// What trace-cmd says before the events: `version = 7`, `cpus=2`, `CPU 0 is empty`.
bool is_remark(std::string_view text) {
  text = without_blanks_behind(text);
  if (take_prefix(text, "cpus=") || take_prefix(text, "version = ")) {
    return to_number<unsigned>(text).has_value();
  }
  return take_prefix(text, "CPU ") && take_number<unsigned>(text) && text == " is empty";
}

}  // namespace

std::expected<gfp, error> gfp_memory::read(std::string_view text) {
  // Texts of one length mostly differ in their last characters.
  const auto last = text.empty() ? 0u : static_cast<unsigned char>(text.back());
  auto& known = entries_[(text.size() * 7 + last) % entries_.size()];
  if (known.text == text && !text.empty()) return known.flags;
  auto flags = parse_gfp(text);
  if (flags) known = {std::string{text}, *flags};
  return flags;
}

ftrace_line parse_ftrace_line(std::string_view text, gfp_memory& flags) {
  if (text.find('\0') != std::string_view::npos) return malformed_line{"a zero byte"};
  if (text.starts_with('#')) return no_event{};
  if (const auto line = parse_head(text)) {
    auto name = line->event;
    if (line->fields.starts_with("<-")) return other_event{"(function)"};
    if (!name.ends_with(':') || name.size() == 1) return malformed_line{"no event name"};
    name.remove_suffix(1);
    if (const auto colon = name.rfind(':'); colon != std::string_view::npos) {
      name.remove_prefix(colon + 1);  // `kmem:mm_page_alloc`
    }
    const auto* format = find_format(name);
    if (format == nullptr) return other_event{name};
    return parse_event(*format, *line, flags);
  }
  if (without_blanks_behind(text).empty() || is_remark(text)) return no_event{};
  if (const auto lost = parse_lost(text)) return *lost;
  return malformed_line{"not an event"};
}

}  // namespace memsim::detail
