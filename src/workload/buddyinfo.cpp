// SPDX-License-Identifier: Apache-2.0
// The parsers of /proc/buddyinfo and /proc/pagetypeinfo: free blocks, counted.
#include <algorithm>
#include <set>

#include <memsim/workload/machine_description.hpp>

#include "workload/drift.hpp"
#include "workload/proc_text.hpp"

namespace memsim {
namespace {

using detail::count_text;
using detail::parse_counts;
using detail::proc_text;
using detail::zone_heading;

described_zone* find_zone(machine_description& machine, const zone_heading& heading) {
  if (heading.node != 0) return nullptr;
  for (auto& z : machine.zones) {
    if (name_of(z.extent.type) == heading.zone) return &z;
  }
  return nullptr;
}

bool all_zero(const std::vector<count_text>& counts) {
  return std::ranges::all_of(counts, [](const count_text& c) { return c.value == 0; });
}

std::unexpected<error> wrong_orders(const proc_text& lines, std::size_t orders) {
  return lines.complain(errc::unsupported,
                        fmt::format("{} orders; memsim models {}", orders, page_orders));
}

// A zone that zoneinfo does not show with memory may be there, if it has none.
std::expected<void, error> check_stranger(const proc_text& lines,
                                          const std::vector<count_text>& counts) {
  if (all_zero(counts)) return {};
  return lines.complain(errc::inconsistent, "zoneinfo has no such zone with memory");
}

std::expected<void, error> check_pages(std::string_view file, const described_zone& z,
                                       std::uint64_t pages) {
  if (pages > z.extent.managed) {
    return fail(errc::inconsistent, "{}: zone {}: the free blocks have {} pages, managed are {}",
                file, z.extent.type, pages, z.extent.managed);
  }
  if (!detail::may_agree(z, pages, z.free_pages)) {
    return fail(errc::inconsistent,
                "{}: zone {}: the free blocks have {} pages, zoneinfo has \"pages free\" {}", file,
                z.extent.type, pages, z.free_pages);
  }
  return {};
}

// What is left of buddyinfo's count is of the types whose count stopped at 100000, shared out
// evenly (modelling assumption).
void fill_overflow(described_types& types, const block_counts& all) {
  for (unsigned o = 0; o < page_orders; ++o) {
    std::uint64_t counted = 0;
    std::uint64_t overflowed = 0;
    for (unsigned t = 0; t < migratetypes; ++t) {
      counted += types.free_blocks[t][o];
      overflowed += types.at_least[t][o];
    }
    for (unsigned t = 0; t < migratetypes && overflowed != 0; ++t) {
      if (!types.at_least[t][o]) continue;
      const auto share = all[o] > counted ? (all[o] - counted) / overflowed : 0;
      types.free_blocks[t][o] += share;
      counted += share;
      --overflowed;
    }
  }
}

// The free blocks and pageblocks of a zone against what is known from the other files.
std::expected<void, error> check_types(std::string_view file, described_zone& z) {
  auto& types = *z.types;
  if (z.free_blocks) fill_overflow(types, *z.free_blocks);

  block_counts all{};
  std::uint64_t pageblocks = 0;
  for (unsigned t = 0; t < migratetypes; ++t) {
    pageblocks += types.pageblocks[t];
    for (unsigned o = 0; o < page_orders; ++o) all[o] += types.free_blocks[t][o];
  }
  if (auto ok = check_pages(file, z, detail::pages_in(all)); !ok) return ok;
  for (unsigned o = 0; z.free_blocks && o < page_orders; ++o) {
    const auto there = (*z.free_blocks)[o];
    if (detail::may_agree(z, all[o] << o, there << o)) continue;
    return fail(errc::inconsistent, "{}: zone {}: {} free blocks of order {}, buddyinfo has {}",
                file, z.extent.type, all[o], o, there);
  }

  const auto first = z.extent.start.value() / pageblock_frames;
  const auto last = (z.extent.end().value() + pageblock_frames - 1) / pageblock_frames;
  if (pageblocks > last - first || pageblocks * pageblock_frames < z.extent.managed) {
    return fail(errc::inconsistent,
                "{}: zone {}: {} pageblocks, where zoneinfo has {} pages managed of {} spanned",
                file, z.extent.type, pageblocks, z.extent.managed, z.extent.spanned);
  }
  return {};
}

// Walks through the sections of pagetypeinfo.
class pagetypeinfo_parser {
 public:
  pagetypeinfo_parser(machine_description& machine, proc_text& lines)
      : machine_{machine}, lines_{lines} {}

  std::expected<void, error> parse() {
    machine_.cma_row = rule::off;
    while (lines_.next()) {
      if (auto ok = take_line(); !ok) return ok;
    }
    for (auto& z : machine_.zones) {
      if (!z.types || !counted_.contains(z.extent.type)) {
        return fail(errc::malformed, "{}: nothing about zone {}, or only half", lines_.name(),
                    z.extent.type);
      }
      if (auto ok = check_types(lines_.name(), z); !ok) return ok;
    }
    return {};
  }

 private:
  enum class section : unsigned char { head, free_blocks, pageblocks, other };

  std::expected<void, error> take_line() {
    auto line = lines_.line();
    if (detail::take_prefix(line, "Page block order:")) return check_number(line, 9);
    if (detail::take_prefix(line, "Pages per block:")) return check_number(line, pageblock_frames);
    if (detail::take_prefix(line, "Free pages count per migrate type at order")) {
      section_ = section::free_blocks;
      return {};
    }
    if (detail::take_prefix(line, "Number of blocks type")) {
      section_ = section::pageblocks;
      return take_type_names(line);
    }
    if (line.starts_with("Number of mixed blocks")) {  // with page_owner=on
      section_ = section::other;
      return {};
    }
    const auto heading = detail::parse_zone_heading(line);
    if (!heading) return lines_.complain(errc::malformed, "not a line of pagetypeinfo");
    switch (section_) {
      case section::free_blocks: return take_free_blocks(*heading);
      case section::pageblocks: return take_pageblocks(*heading);
      case section::other: return {};
      case section::head: break;
    }
    return lines_.complain(errc::malformed, "a zone before any heading");
  }

  std::expected<void, error> check_number(std::string_view text, std::uint64_t expected) {
    detail::skip_blanks(text);
    const auto value = detail::to_number<std::uint64_t>(detail::without_blanks_behind(text));
    if (!value) return lines_.complain(errc::malformed, "not a number");
    if (*value != expected) {
      return lines_.complain(errc::unsupported,
                             fmt::format("memsim models pageblocks of order {}", pageblock_order));
    }
    return {};
  }

  std::optional<unsigned> type_number(std::string_view name) {
    for (const auto type : all_migratetypes) {
      if (name_of(type) == name) return static_cast<unsigned>(type);
    }
    return std::nullopt;
  }

  std::expected<void, error> take_type_names(std::string_view names) {
    columns_.clear();
    for (auto name = detail::take_word(names); !name.empty(); name = detail::take_word(names)) {
      const auto type = type_number(name);
      if (!type || std::ranges::count(columns_, *type) != 0) {
        return lines_.complain(errc::unsupported, "not the names of migratetypes");
      }
      columns_.push_back(*type);
    }
    return {};
  }

  // `Node    0, zone   Normal, type    Unmovable      1 …`
  std::expected<void, error> take_free_blocks(const zone_heading& heading) {
    auto rest = heading.rest;
    if (detail::take_word(rest) != "type") {
      return lines_.complain(errc::malformed, "no migratetype");
    }
    const auto type = type_number(detail::take_word(rest));
    if (!type) return lines_.complain(errc::unsupported, "not the name of a migratetype");
    if (all_migratetypes[*type] == migratetype::cma) machine_.cma_row = rule::on;
    const auto counts = parse_counts(rest);
    if (!counts) return lines_.complain(errc::malformed, "not a row of counts");
    if (counts->size() != page_orders) return wrong_orders(lines_, counts->size());
    auto* z = find_zone(machine_, heading);
    if (z == nullptr) return check_stranger(lines_, *counts);
    if (!z->types) z->types.emplace();
    if (!seen_.emplace(z->extent.type, *type).second) {
      return lines_.complain(errc::inconsistent, "a zone and type come twice");
    }
    for (unsigned o = 0; o < page_orders; ++o) {
      z->types->free_blocks[*type][o] = (*counts)[o].value;
      z->types->at_least[*type][o] = (*counts)[o].at_least;
    }
    return {};
  }

  std::expected<void, error> take_pageblocks(const zone_heading& heading) {
    const auto counts = parse_counts(heading.rest);
    if (!counts || counts->size() != columns_.size()) {
      return lines_.complain(errc::malformed, "not a row of counts");
    }
    auto* z = find_zone(machine_, heading);
    if (z == nullptr) return check_stranger(lines_, *counts);
    if (!z->types) z->types.emplace();
    if (!counted_.insert(z->extent.type).second) {
      return lines_.complain(errc::inconsistent, "a zone comes twice");
    }
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      z->types->pageblocks[columns_[i]] = (*counts)[i].value;
    }
    return {};
  }

  machine_description& machine_;
  proc_text& lines_;
  section section_ = section::head;
  std::vector<unsigned> columns_;  // the types of the columns of pageblocks
  std::set<std::pair<zone_type, unsigned>> seen_;
  std::set<zone_type> counted_;
};

std::expected<void, error> parse_buddyinfo(machine_description& machine, proc_text& lines) {
  while (lines.next()) {
    const auto heading = detail::parse_zone_heading(lines.line());
    if (!heading) return lines.complain(errc::malformed, "not a zone");
    const auto counts = parse_counts(heading->rest);
    if (!counts) return lines.complain(errc::malformed, "not a row of counts");
    if (counts->size() != page_orders) return wrong_orders(lines, counts->size());
    auto* z = find_zone(machine, *heading);
    if (z == nullptr) {
      if (auto ok = check_stranger(lines, *counts); !ok) return ok;
      continue;
    }
    if (z->free_blocks) return lines.complain(errc::inconsistent, "a zone comes twice");
    z->free_blocks.emplace();
    std::ranges::transform(*counts, z->free_blocks->begin(), &count_text::value);
  }
  for (const auto& z : machine.zones) {
    if (!z.free_blocks) {
      return fail(errc::malformed, "{}: nothing about zone {}", lines.name(), z.extent.type);
    }
    if (auto ok = check_pages(lines.name(), z, detail::pages_in(*z.free_blocks)); !ok) return ok;
  }
  return {};
}

}  // namespace

std::optional<std::vector<count_text>> detail::parse_counts(std::string_view text) {
  std::vector<count_text> counts;
  for (auto word = take_word(text); !word.empty(); word = take_word(text)) {
    count_text count{.at_least = take_prefix(word, ">")};
    if (word.empty()) word = take_word(text);  // `>` and a padded number
    const auto value = to_number<std::uint64_t>(word);
    if (!value || *value >= most_blocks) return std::nullopt;
    count.value = *value;
    counts.push_back(count);
  }
  return counts;
}

std::expected<void, error> add_buddyinfo(machine_description& machine, std::string_view text,
                                         std::string_view name) {
  auto added = machine;
  for (auto& z : added.zones) z.free_blocks.reset();
  proc_text lines{text, name};
  if (auto ok = parse_buddyinfo(added, lines); !ok) return ok;
  machine = std::move(added);
  return {};
}

std::expected<void, error> add_pagetypeinfo(machine_description& machine, std::string_view text,
                                            std::string_view name) {
  auto added = machine;
  for (auto& z : added.zones) z.types.reset();
  proc_text lines{text, name};
  if (auto ok = pagetypeinfo_parser{added, lines}.parse(); !ok) return ok;
  machine = std::move(added);
  return {};
}

}  // namespace memsim
