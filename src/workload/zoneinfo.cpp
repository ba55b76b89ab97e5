// SPDX-License-Identifier: Apache-2.0
// The parser of /proc/zoneinfo.
#include <algorithm>
#include <limits>
#include <map>
#include <optional>
#include <utility>

#include <memsim/frames/memory_map.hpp>
#include <memsim/workload/machine_description.hpp>

#include "workload/drift.hpp"
#include "workload/proc_text.hpp"

namespace memsim {
namespace {

using detail::proc_text;

constexpr unsigned max_cpus = 4096;  // as page_allocator_config::cpus

// A zone as the file has it, with memory or without.
struct zone_text {
  unsigned node = 0;
  std::string name;
  std::map<std::string, std::uint64_t, std::less<>> fields{};  // `managed`, `nr_free_cma`, …
  std::vector<std::uint64_t> protection{};
  std::map<unsigned, std::map<std::string, std::uint64_t, std::less<>>> pagesets{};  // by CPU

  [[nodiscard]] std::uint64_t field_or_0(std::string_view key) const {
    const auto at = fields.find(key);
    return at == fields.end() ? 0 : at->second;
  }
};

std::optional<zone_type> zone_type_named(std::string_view name) {
  for (const auto type : all_zone_types) {
    if (name_of(type) == name) return type;
  }
  return std::nullopt;
}

// `(0, 3019, 10827, 10827)`.
std::optional<std::vector<std::uint64_t>> parse_protection(std::string_view text) {
  text = detail::without_blanks_behind(text);
  if (!detail::take_prefix(text, "(")) return std::nullopt;
  std::vector<std::uint64_t> pages;
  while (true) {
    detail::skip_blanks(text);
    const auto value = detail::take_number<std::uint64_t>(text);
    if (!value) return std::nullopt;
    pages.push_back(*value);
    if (text == ")") return pages;
    if (!detail::take_prefix(text, ",")) return std::nullopt;
  }
}

// `pages free     3840`, `boost 0`, `vm stats threshold: 4`: the name without its colon, and the
// number behind it.
struct field_text {
  std::string_view key;
  std::uint64_t value = 0;
};

std::optional<field_text> parse_field(std::string_view line) {
  line = detail::without_blanks_behind(line);
  detail::skip_blanks(line);
  const auto digits = line.find_last_not_of("0123456789");
  if (digits == std::string_view::npos || digits + 1 == line.size()) return std::nullopt;
  const auto value = detail::to_number<std::uint64_t>(line.substr(digits + 1));
  if (!value || !detail::is_blank(line[digits])) return std::nullopt;
  auto key = detail::without_blanks_behind(line.substr(0, digits));
  if (key.ends_with(':')) key.remove_suffix(1);
  if (key.empty()) return std::nullopt;
  return field_text{key, *value};
}

// Splits the file into zones and fields; what they mean comes later.
class zoneinfo_splitter {
 public:
  explicit zoneinfo_splitter(proc_text& text) : text_{text} {}

  std::expected<std::vector<zone_text>, error> split() {
    while (text_.next()) {
      if (auto ok = take_line(); !ok) return std::unexpected{ok.error()};
    }
    return std::move(zones_);
  }

 private:
  std::expected<void, error> take_line() {
    if (const auto heading = detail::parse_zone_heading(text_.line())) {
      return begin_zone(*heading);
    }
    if (zones_.empty()) return text_.complain(errc::malformed, "not the start of a zone");
    auto line = text_.line();
    detail::skip_blanks(line);
    line = detail::without_blanks_behind(line);
    if (line == "pagesets") return {};
    if (line == "per-node stats") {
      in_node_stats_ = true;
      return {};
    }
    if (detail::take_prefix(line, "protection:")) return take_protection(line);
    const auto field = parse_field(text_.line());
    if (!field) return text_.complain(errc::malformed, "not a name and a number");
    return take_field(*field);
  }

  std::expected<void, error> begin_zone(const detail::zone_heading& heading) {
    if (!detail::without_blanks_behind(heading.rest).empty()) {
      return text_.complain(errc::malformed, "not the start of a zone");
    }
    for (const auto& z : zones_) {
      if (z.node == heading.node && z.name == heading.zone) {
        return text_.complain(errc::inconsistent, "a zone comes twice");
      }
    }
    zones_.push_back({.node = heading.node, .name = std::string{heading.zone}});
    cpu_.reset();
    in_node_stats_ = false;
    return {};
  }

  std::expected<void, error> take_protection(std::string_view values) {
    detail::skip_blanks(values);
    auto pages = parse_protection(values);
    if (!pages) return text_.complain(errc::malformed, "not a list of numbers");
    zones_.back().protection = std::move(*pages);
    return {};
  }

  std::expected<void, error> take_field(const field_text& field) {
    auto& zone = zones_.back();
    if (field.key == "cpu") {
      if (field.value >= max_cpus) return text_.complain(errc::unsupported, "above CPU 4095");
      cpu_ = static_cast<unsigned>(field.value);
      if (!zone.pagesets.try_emplace(*cpu_).second) {
        return text_.complain(errc::inconsistent, "a CPU comes twice");
      }
      return {};
    }
    if (field.key == "pages free") in_node_stats_ = false;
    if (in_node_stats_) return {};
    // These come after the page sets, and are the zone's.
    if (field.key == "node_unreclaimable" || field.key == "start_pfn") cpu_.reset();
    auto& fields = cpu_ ? zone.pagesets[*cpu_] : zone.fields;
    if (!fields.try_emplace(std::string{field.key}, field.value).second) {
      return text_.complain(errc::inconsistent, "a field comes twice");
    }
    return {};
  }

  proc_text& text_;
  std::vector<zone_text> zones_;
  std::optional<unsigned> cpu_;
  bool in_node_stats_ = false;
};

// Turns a zone's fields into a description, with complaints that name file, zone and field.
class zone_builder {
 public:
  zone_builder(const zone_text& zone, std::string_view file) : zone_{zone}, file_{file} {}

  std::expected<described_zone, error> build(zone_type type,
                                             const std::vector<std::string>& names) {
    described_zone z;
    z.extent = {.type = type,
                .start = pfn{need("start_pfn")},
                .spanned = need("spanned"),
                .present = need("present"),
                .managed = need("managed")};
    z.free_pages = need("pages free");
    z.boost = zone_.field_or_0("boost");
    z.marks = {.min = need("min"), .low = need("low"), .high = need("high")};
    z.cma_pages = zone_.field_or_0("cma");
    z.free_cma = zone_.field_or_0("nr_free_cma");
    for (const auto* list :
         {"nr_zone_inactive_anon", "nr_zone_active_anon", "nr_zone_inactive_file",
          "nr_zone_active_file", "nr_zone_unevictable"}) {
      const auto pages = zone_.field_or_0(list);
      check(pages <= z.extent.managed, "{} {} is more than the {} pages managed", list, pages,
            z.extent.managed);
      z.lru_pages += pages;
    }
    if (!problem_) check_zone(z);
    // /proc shows the marks with the boost added.
    z.marks = {z.marks.min - z.boost, z.marks.low - z.boost, z.marks.high - z.boost};
    if (!problem_) z.protection = protection_by_type(names);
    if (!problem_) z.pagesets = pagesets();
    if (problem_) return std::unexpected{std::move(*problem_)};
    return z;
  }

 private:
  template <class... Args>
  void complain(errc code, fmt::format_string<Args...> text, Args&&... args) {
    if (problem_) return;
    problem_ = error{code, fmt::format("{}: zone {}: {}", file_, escaped(zone_.name, 32),
                                       fmt::format(text, std::forward<Args>(args)...))};
  }
  template <class... Args>
  void check(bool holds, fmt::format_string<Args...> text, Args&&... args) {
    if (!holds) complain(errc::inconsistent, text, std::forward<Args>(args)...);
  }

  std::uint64_t need(std::string_view key) {
    const auto at = zone_.fields.find(key);
    if (at != zone_.fields.end()) return at->second;
    complain(errc::malformed, "no field \"{}\"", key);
    return 0;
  }

  void check_zone(const described_zone& z) {
    const auto& e = z.extent;
    check(e.managed <= e.present, "managed {} is more than present {}", e.managed, e.present);
    check(e.present <= e.spanned, "present {} is more than spanned {}", e.present, e.spanned);
    check(e.start < max_frame_end && e.spanned <= max_frame_end - e.start,
          "{} frames from start_pfn {} end above frame {}", e.spanned, e.start, max_frame_end);
    check(z.marks.min <= z.marks.low && z.marks.low <= z.marks.high,
          "the watermarks min {}, low {}, high {} do not ascend", z.marks.min, z.marks.low,
          z.marks.high);
    check(z.boost <= z.marks.min, "boost {} is more than min {}, which includes it", z.boost,
          z.marks.min);
    check(z.marks.high <= std::numeric_limits<std::uint32_t>::max(), "high {} is absurdly large",
          z.marks.high);
    check(z.free_pages <= e.managed, "pages free {} is more than managed {}", z.free_pages,
          e.managed);
    check(z.cma_pages <= e.managed, "cma {} is more than managed {}", z.cma_pages, e.managed);
    check(z.free_cma <= z.cma_pages, "nr_free_cma {} is more than cma {}", z.free_cma, z.cma_pages);
    check(z.lru_pages <= e.managed, "the LRU lists hold {} pages, managed are {}", z.lru_pages,
          e.managed);
  }

  // The file gives the reserves in the order of its zones, which depends on the kernel's build.
  lowmem_reserves protection_by_type(const std::vector<std::string>& names) {
    static const std::vector<std::string> usual{"DMA", "DMA32", "Normal", "Movable", "Device"};
    const auto count = zone_.protection.size();
    const bool trimmed = names.size() != count;
    check(!trimmed || count == zone_types || count == usual.size(),
          "protection has {} values for {} zones", count, names.size());
    lowmem_reserves reserves{};
    if (problem_) return reserves;
    for (std::size_t i = 0; i < count; ++i) {
      if (const auto type = zone_type_named((trimmed ? usual : names)[i])) {
        reserves[static_cast<unsigned>(*type)] = zone_.protection[i];
      }
      check(zone_.protection[i] < max_frame_end.value(), "protection {} is absurdly large",
            zone_.protection[i]);
    }
    return reserves;
  }

  std::vector<described_pageset> pagesets() {
    std::vector<described_pageset> sets;
    if (zone_.pagesets.empty()) complain(errc::malformed, "no pagesets");
    for (const auto& [cpu, fields] : zone_.pagesets) {
      const auto set = pageset(cpu, fields);
      if (problem_) return {};
      // Only CPUs that are online are shown. Those between have empty sets of the same kind.
      auto offline = sets.empty() ? set : sets.front();
      offline.count = 0;
      sets.resize(cpu, offline);
      sets.push_back(set);
    }
    return sets;
  }

  described_pageset pageset(unsigned cpu,
                            const std::map<std::string, std::uint64_t, std::less<>>& fields) {
    // What the kernel keeps in an int, and memsim multiplies by small numbers.
    constexpr std::uint64_t limit = std::numeric_limits<std::int32_t>::max() >> 8;
    const auto find = [&](std::string_view key) -> std::optional<std::uint32_t> {
      const auto at = fields.find(key);
      if (at == fields.end()) return std::nullopt;
      check(at->second <= limit, "cpu {}: {} {} is absurdly large", cpu, key, at->second);
      return static_cast<std::uint32_t>(std::min(at->second, limit));
    };
    const auto find_or_complain = [&](std::string_view key) {
      const auto value = find(key);
      if (!value) complain(errc::malformed, "cpu {}: no field \"{}\"", cpu, key);
      return value.value_or(0);
    };
    described_pageset set{.count = find_or_complain("count"),
                          .high = find_or_complain("high"),
                          .batch = find_or_complain("batch"),
                          .high_min = find("high_min"),
                          .high_max = find("high_max"),
                          .counter_threshold = find_or_complain("vm stats threshold")};
    check(problem_ || set.batch >= 1, "cpu {}: batch is 0", cpu);
    check(set.high_min.has_value() == set.high_max.has_value(),
          "cpu {}: only one of high_min and high_max", cpu);
    if (set.high_min && set.high_max) {
      check(*set.high_min <= *set.high_max, "cpu {}: high_min {} is above high_max {}", cpu,
            *set.high_min, *set.high_max);
    }
    return set;
  }

  const zone_text& zone_;
  std::string_view file_;
  std::optional<error> problem_;
};

// Whether all zones have as many page sets as the first, and lie one behind the other.
std::expected<void, error> check_zones(const machine_description& machine, std::string_view file) {
  if (machine.zones.empty()) {
    return fail(errc::malformed, "{}: no zone of node 0 has memory", file);
  }
  const auto& first = machine.zones.front();
  pfn end{0};
  for (const auto& z : machine.zones) {
    if (z.extent.start < end) {
      return fail(errc::inconsistent,
                  "{}: zone {}: start_pfn {} is below the end of the zone before", file,
                  z.extent.type, z.extent.start);
    }
    end = z.extent.end();
    if (z.pagesets.size() != first.pagesets.size()) {
      return fail(errc::inconsistent, "{}: zone {} has page sets of {} CPUs, zone {} of {}", file,
                  z.extent.type, z.pagesets.size(), first.extent.type, first.pagesets.size());
    }
    std::uint64_t counted = z.free_pages;
    for (const auto& set : z.pagesets) counted += set.count;
    if (counted > z.extent.managed + detail::drift_of(z)) {
      return fail(errc::inconsistent,
                  "{}: zone {}: {} pages are free or on per-CPU lists, managed are {}", file,
                  z.extent.type, counted, z.extent.managed);
    }
  }
  return {};
}

}  // namespace

std::expected<machine_description, error> parse_zoneinfo(std::string_view text,
                                                         std::string_view name) {
  proc_text lines{text, name};
  const auto zones = zoneinfo_splitter{lines}.split();
  if (!zones) return std::unexpected{zones.error()};

  std::vector<std::string> names;
  for (const auto& z : *zones) {
    if (z.node == 0) names.push_back(z.name);
  }
  machine_description machine;
  for (const auto& z : *zones) {
    if (!z.fields.contains("managed")) {
      return fail(errc::malformed, "{}: zone {}: no field \"managed\"", name, escaped(z.name, 32));
    }
    if (z.field_or_0("managed") == 0) continue;
    if (z.node != 0) {
      return fail(errc::unsupported,
                  "{}: node {} has memory (zone {}): memsim models machines of one node", name,
                  z.node, escaped(z.name, 32));
    }
    const auto type = zone_type_named(z.name);
    if (!type) {
      return fail(errc::unsupported,
                  "{}: zone {} has memory: memsim models DMA, DMA32, Normal and Movable", name,
                  escaped(z.name, 32));
    }
    auto described = zone_builder{z, name}.build(*type, names);
    if (!described) return std::unexpected{described.error()};
    machine.zones.push_back(std::move(*described));
  }
  std::ranges::sort(machine.zones, {}, [](const described_zone& z) { return z.extent.type; });
  if (auto ok = check_zones(machine, name); !ok) return std::unexpected{ok.error()};
  return machine;
}

}  // namespace memsim
