// SPDX-License-Identifier: Apache-2.0
#include "workload/golden_snapshot.hpp"

#include <algorithm>
#include <array>
#include <bit>

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

// K NAME migrate0 PFN migrate1 PFN free PFN ...
void read_compaction(field_cursor& in, zone_state& z) {
  auto& c = z.compaction;
  c.migrate_async = in.named<std::uint64_t>("migrate0");
  c.migrate_sync = in.named<std::uint64_t>("migrate1");
  c.free = in.named<std::uint64_t>("free");
  c.init_migrate = in.named<std::uint64_t>("init_migrate");
  c.init_free = in.named<std::uint64_t>("init_free");
  c.considered = in.named<std::uint32_t>("considered");
  c.shift = in.named<std::uint32_t>("shift");
  c.order_failed = in.named<std::uint32_t>("order_failed");
  c.flush_hints = in.named<unsigned>("flush") != 0;
  if (in.named<unsigned>("isolated_blocks") != 0) in.refuse("a pageblock is isolated at the start");
}

void read_hints(field_cursor& in, zone_state& z) {
  while (in.ok() && !in.at_end()) z.skip_hints.push_back(pfn{in.number<std::uint64_t>()});
}

// T NAME contiguous 0|1: follows from the holes.
void skip_contiguity(field_cursor& in, zone_state&) {
  in.expect("contiguous");
  static_cast<void>(in.number<unsigned>(0, 1));
}

struct zone_line {
  char letter;
  void (*read)(field_cursor&, zone_state&);
};

constexpr std::array zone_lines{zone_line{'P', read_page_set},   zone_line{'Q', read_page_set_list},
                                zone_line{'L', read_free_list},  zone_line{'B', read_pageblocks},
                                zone_line{'R', read_movable},    zone_line{'F', skip_indices},
                                zone_line{'K', read_compaction}, zone_line{'W', read_hints},
                                zone_line{'T', skip_contiguity}};

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
  } else if (letter == "X" && !state_.zones.empty()) {
    read_use(in);
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

// X NAME: START+COUNTc ...: what the frames are that are neither free nor on a per-CPU list.
void snapshot_parser::read_use(field_cursor& in) {
  const auto name = in.word();
  auto& z = state_.zones.back();
  if (in.ok() && name != fmt::format("{}:", z.extent.type))
    in.refuse("the line is of another zone");
  while (in.ok() && !in.at_end()) {
    auto run = in.word();
    const auto plus = run.find('+');
    if (plus == std::string_view::npos || run.size() < plus + 3) {
      in.refuse("expected START+COUNT and a letter");
      return;
    }
    const char what = run.back();
    run.remove_suffix(1);
    const auto most = max_frame_end.value();
    const auto first = in.parse<std::uint64_t>(run.substr(0, plus), 0, most - 1);
    const auto count = in.parse<std::uint64_t>(run.substr(plus + 1), 1, most - first);
    if (!in.ok()) return;
    if (first < z.extent.start.value() || first + count > z.extent.end().value()) {
      in.refuse("frames outside the zone");
      return;
    }
    uses_.push_back({pfn{first}, count, what, state_.zones.size() - 1});
  }
}

// Where no uses are told, every pageblock that is no hole is memory.
void snapshot_parser::apply_uses() {
  if (uses_.empty()) return;
  std::vector<memory_region> regions;
  for (std::size_t i = 0; i < state_.zones.size(); ++i) {
    auto& z = state_.zones[i];
    std::vector<pfn> per_cpu;
    for (unsigned list = 0; list < pcp_lists; ++list) {
      for (const auto& entry : z.cpus.front().lists[list]) {
        for (frame_count page = 0; page < order{pcp_order_of(list)}.frames(); ++page) {
          per_cpu.push_back(entry.block + page);
        }
      }
    }
    std::ranges::sort(per_cpu);
    pfn reached = z.extent.start;
    const auto add = [&](pfn first, pfn last, region_kind kind) {
      if (first < last) regions.push_back({first, last - first, kind});
    };
    for (const auto& use : uses_) {
      if (use.zone != i || use.first < reached) continue;
      const pfn end = use.first + use.count;
      const bool is_hole = use.what == 'i' || use.what == 'o';
      if (is_hole || use.what == 'r') {
        add(reached, use.first, region_kind::ram);
        if (!is_hole) add(use.first, end, region_kind::reserved);
        reached = end;
      }
      if (use.what == 'h' || use.what == 'm') {
        const auto size = static_cast<unsigned>(std::bit_width(use.count)) - 1;
        if (size < page_orders && use.count == order{size}.frames()) {
          z.allocated.push_back({use.first, order{size}, true});
          if (use.what == 'm') z.movable_in_use.push_back(use.first);
        }
      }
      for (pfn frame = use.first; frame < end && (use.what == 'l' || use.what == 'z'); frame += 1) {
        if (use.what == 'l') z.movable_in_use.push_back(frame);
        if (use.what == 'z' && !std::ranges::binary_search(per_cpu, frame)) {
          z.pages.push_back({frame, {.flags = page_flag::tail}});
        }
      }
    }
    add(reached, z.extent.end(), region_kind::ram);
  }
  if (!regions.empty()) state_.memory.emplace(std::move(regions));
}

allocator_state snapshot_parser::finish() {
  apply_uses();
  return std::move(state_);
}

}  // namespace memsim::detail
