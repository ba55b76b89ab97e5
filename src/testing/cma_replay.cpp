// SPDX-License-Identifier: Apache-2.0
// A recording of a CMA area: where each claim was granted.
#include <map>

#include <memsim/alloc/page_allocator.hpp>

#include "testing/golden_score.hpp"

namespace memsim::testing {
namespace {

using detail::field_cursor;

// The area, and as much memory below it as the allocator needs to start.
page_allocator memory_with(const cma_area& area, const kernel_profile& profile) {
  const frame_count align = max_page_order.frames();
  const pfn first{area.base.value() / align * align};
  const pfn end{(area.end().value() + align - 1) / align * align};
  const frame_count spare = first.value() >= align ? align : 0;
  std::vector<memory_region> regions{{first - spare, end - first + spare}};
  return page_allocator{
      {.memory = memory_map{std::move(regions)}, .profile = profile, .cma_areas = {area}}};
}

struct holding {
  pfn first{};
  frame_count count = 0;
};

}  // namespace

std::expected<golden_result, error> replay_cma(golden_input input) {
  auto& lines = *input.lines;
  golden_result result{.kernel = input.header.kernel, .profile = input.profile};
  golden_score score{result};
  if (!lines.next()) return lines.ends_early("the line 'area'");
  cma_area area;
  {
    field_cursor in{lines.line()};
    in.expect("area");
    in.expect("base");
    area.base = pfn{in.number<std::uint64_t>(0, max_frame_end.value() - 1)};
    area.count = in.named<std::uint64_t>("count");
    in.expect_end();
    if (!in.ok()) return lines.malformed(in.problem());
    if (area.count > max_frame_end - area.base) return lines.malformed("the area is too large");
  }
  try {
    auto memory = memory_with(area, input.profile);
    context ctx;
    std::map<std::uint64_t, holding> claims;
    std::map<std::uint64_t, holding> held;
    const auto take = [](auto& from, std::uint64_t id) {
      const auto found = from.find(id);
      if (found == from.end()) return holding{};
      const auto h = found->second;
      from.erase(found);
      return h;
    };
    while (lines.next()) {
      if (lines.line() == "end") {
        result.end_state = memory.state_digest();
        return result;
      }
      field_cursor in{lines.line()};
      const auto letter = in.word();
      const auto id = in.number<std::uint64_t>();
      if (letter == "c") {
        const auto count = in.number<std::uint64_t>(1, max_frame_end.value());
        const order align{in.number<unsigned>(0, 30)};
        const std::string theirs{in.word()};
        in.expect_end();
        if (!in.ok()) return lines.malformed(in.problem());
        const auto ours = memory.cma_alloc(ctx, 0, count, align);
        score.compare(lines.number(), theirs, ours ? fmt::format("{}", *ours) : "-");
        if (ours) claims[id] = {*ours, count};
      } else if (letter == "h") {
        const auto count = in.number<std::uint64_t>(1, max_frame_end.value());
        const pfn first{in.number<std::uint64_t>(0, max_frame_end.value() - 1)};
        if (!in.ok()) return lines.malformed(in.problem());
        // Outside the area it is in nobody's way.
        if (first < area.base || first + count > area.end()) continue;
        // Somebody got exactly these pages; how is not told.
        if (!memory.alloc_contig_range(ctx, first, count, migratetype::cma)) {
          return lines.malformed("these pages are not free");
        }
        held[id] = {first, count};
      } else if (letter == "C") {
        if (const auto h = take(claims, id); h.count > 0)
          memory.cma_release(ctx, 0, h.first, h.count);
      } else if (letter == "u") {
        const auto h = take(held, id);
        if (h.count > 0) memory.free_contig_range(ctx, h.first, h.count);
      } else {
        in.refuse("no such record");
      }
      in.expect_end();
      if (!in.ok()) return lines.malformed(in.problem());
    }
  } catch (const usage_error& e) {
    return lines.malformed(e.what());
  }
  return lines.ends_early("the line 'end'");
}

}  // namespace memsim::testing
