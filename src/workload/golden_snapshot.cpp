// SPDX-License-Identifier: Apache-2.0
#include "workload/golden_snapshot.hpp"

#include <algorithm>
#include <array>

#include <memsim/frames/memory_map.hpp>

#include "workload/line_source.hpp"

namespace memsim::detail {
namespace {

constexpr unsigned hole = 9;

// Z NAME idx I start PFN spanned N ...
void read_zone(field_cursor& in, allocator_state& state) {
  zone_state z;
  const auto name = in.word();
  z.extent.type =
      static_cast<zone_type>((in.expect("idx"), in.number<unsigned>(0, zone_types - 1)));
  if (in.ok() && name != name_of(z.extent.type)) in.refuse("the zone's name is not its index's");
  z.extent.start = pfn{in.named<std::uint64_t>("start")};
  z.extent.spanned = in.named<std::uint64_t>("spanned");
  z.extent.present = in.named<std::uint64_t>("present");
  z.extent.managed = in.named<std::uint64_t>("managed");
  z.marks.min = in.named<std::uint32_t>("min");
  z.marks.low = in.named<std::uint32_t>("low");
  z.marks.high = in.named<std::uint32_t>("high");
  z.boost = in.named<std::uint32_t>("boost");
  z.free_pages = in.named<std::int32_t>("free");
  z.free_cma = in.named<std::int32_t>("cma");
  z.reserved_highatomic = in.named<std::uint32_t>("highatomic");
  pcp_state cpu;
  cpu.pending.free = in.named<std::int32_t>("dfree");
  cpu.pending.cma = in.named<std::int32_t>("dcma");
  z.counter_threshold = in.named<std::uint32_t>("thr");
  const auto flags = in.named<unsigned>("flags");
  z.boosted = flags & 1;
  z.reclaim_active = flags & 2;
  z.below_high = flags & 4;
  in.expect("reserve");
  for (auto& pages : z.reserve) pages = in.number<std::uint32_t>();
  if (!in.at_end()) z.free_highatomic = in.named<std::uint32_t>("free_highatomic");
  z.cpus.push_back(std::move(cpu));
  state.zones.push_back(std::move(z));
}

// P NAME cpu 0 count N high N batch N ...
void read_page_set(field_cursor& in, zone_state& z) {
  auto& pcp = z.cpus.front();
  in.expect("cpu");
  in.expect("0");
  pcp.count = in.named<std::uint32_t>("count");
  pcp.high = in.named<std::uint32_t>("high");
  pcp.batch = in.named<std::uint32_t>("batch");
  const auto next = in.word();
  if (next == "free_factor") {
    pcp.free_factor = in.number<std::uint32_t>();
    return;
  }
  if (next != "high_min") return in.refuse("expected 'free_factor' or 'high_min'");
  pcp.high_min = in.number<std::uint32_t>();
  pcp.high_max = in.named<std::uint32_t>("high_max");
  pcp.alloc_factor = in.named<std::uint32_t>("alloc_factor");
  pcp.free_count = in.named<std::uint32_t>("free_count");
  const auto flags = in.named<unsigned>("flags");
  pcp.previous_free_high_order = flags & 1;
  pcp.free_high_batch = flags & 2;
}

// `14:` of `list 14:`, `0:` of `type 0:`.
unsigned read_label(field_cursor& in, unsigned most) {
  auto word = in.word();
  if (!word.ends_with(':')) {
    in.refuse("expected a number and a colon");
    return 0;
  }
  word.remove_suffix(1);
  return in.parse<unsigned>(word, 0, most);
}

// Q NAME cpu 0 list I: PFN/TYPE ... or, on 6.12, PFN ...
void read_page_set_list(field_cursor& in, zone_state& z) {
  in.expect("cpu");
  in.expect("0");
  in.expect("list");
  const unsigned list = read_label(in, pcp_lists - 1);
  auto own_type = static_cast<migratetype>(list % mergeable_migratetypes);
  if (list == pcp_lists - 2) own_type = migratetype::unmovable;
  if (list == pcp_lists - 1) own_type = migratetype::movable;
  while (in.ok() && !in.at_end()) {
    const auto word = in.word();
    const auto slash = word.find('/');
    pcp_entry entry{pfn{in.parse<std::uint64_t>(word.substr(0, slash))}, own_type};
    if (slash != std::string_view::npos) {
      entry.type =
          static_cast<migratetype>(in.parse<unsigned>(word.substr(slash + 1), 0, migratetypes - 1));
    }
    z.cpus.front().lists[list].push_back(entry);
  }
}

// L NAME order O type T: PFN ...
void read_free_list(field_cursor& in, zone_state& z) {
  in.expect("order");
  const auto o = in.number<unsigned>(0, page_orders - 1);
  in.expect("type");
  const auto type = read_label(in, migratetypes - 1);
  auto& list = z.free_lists[o][type];
  while (in.ok() && !in.at_end()) list.push_back(pfn{in.number<std::uint64_t>()});
}

// B NAME: TYPE*COUNT ...
void read_pageblocks(field_cursor& in, zone_state& z) {
  const auto most = max_frame_end.value() / pageblock_frames;
  while (in.ok() && !in.at_end()) {
    const auto run = in.word();
    const auto star = run.find('*');
    if (star == std::string_view::npos) return in.refuse("expected TYPE*COUNT");
    const auto type = in.parse<unsigned>(run.substr(0, star), 0, hole);
    const auto count = in.parse<std::uint64_t>(run.substr(star + 1), 1, most);
    if (type != hole && type >= migratetypes) return in.refuse("no such migratetype");
    if (!in.ok() || z.pageblocks.size() + count > most) return in.refuse("too many pageblocks");
    z.pageblocks.insert(
        z.pageblocks.end(), count,
        type == hole ? std::nullopt : std::optional{static_cast<migratetype>(type)});
  }
}

void read_movable(field_cursor& in, zone_state& z) {
  while (in.ok() && !in.at_end()) z.movable_in_use.push_back(pfn{in.number<std::uint64_t>()});
}

// The indices follow from the free lists.
void skip_indices(field_cursor& in, zone_state&) {
  while (in.ok() && !in.at_end()) in.word();
}

struct zone_line {
  char letter;
  void (*read)(field_cursor&, zone_state&);
};

constexpr std::array zone_lines{zone_line{'P', read_page_set},  zone_line{'Q', read_page_set_list},
                                zone_line{'L', read_free_list}, zone_line{'B', read_pageblocks},
                                zone_line{'R', read_movable},   zone_line{'F', skip_indices}};

}  // namespace

std::string snapshot_parser::add(std::string_view line) {
  field_cursor in{line};
  const auto letter = in.word();
  if (letter == "Z") {
    read_zone(in, state_);
  } else if (letter == "A") {
    cma_area area;
    area.base = pfn{in.named<std::uint64_t>("base")};
    area.count = in.named<std::uint64_t>("count");
    state_.cma_areas.push_back(area);
  } else {
    const auto* const known = std::ranges::find_if(zone_lines, [&](const zone_line& l) {
      return letter.size() == 1 && letter.front() == l.letter;
    });
    if (known == zone_lines.end()) return "no such line in a snapshot";
    if (state_.zones.empty()) return "a line of a zone comes before any zone";
    auto name = in.word();
    if (name.ends_with(':')) name.remove_suffix(1);
    if (in.ok() && name != name_of(state_.zones.back().extent.type)) {
      return "the line is of another zone than the last";
    }
    known->read(in, state_.zones.back());
  }
  in.expect_end();
  return in.problem();
}

allocator_state snapshot_parser::finish() { return std::move(state_); }

}  // namespace memsim::detail
