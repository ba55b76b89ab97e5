// SPDX-License-Identifier: Apache-2.0
#include <memsim/arch/merge_policy.hpp>

#include <algorithm>

#include <memsim/core/error.hpp>

namespace memsim {

void merge_policy::on_change(direct_map&, context&, pfn, frame_count) const {}
void merge_policy::on_request(direct_map&, context&, pfn, frame_count) const {}

void merging_on_request::on_request(direct_map& map, context& ctx, pfn first,
                                    frame_count count) const {
  map.collapse(ctx, first, count, {.wanted = mapping_flag::present});
}

void merging_when_uniform::on_change(direct_map& map, context& ctx, pfn first,
                                     frame_count count) const {
  map.collapse(ctx, first, count, {.largest = largest_});
}

void merging_when_uniform::refuse() {
  throw_usage("nothing can be merged into pages of 4K: 2M and 1G are what there is");
}

merge_scanner::merge_scanner(page_size largest) : merging_{largest} {}

std::uint64_t merge_scanner::scan(direct_map& map, context& ctx, std::uint64_t budget) {
  constexpr frame_count step = frames_of(page_size::m2);
  if (next_ >= map.end()) next_ = pfn{0};
  const auto left = (map.end() - next_ + step - 1) / step;
  const frame_count count = std::min(budget, left) * step;
  if (count == 0) return 0;
  const pfn first = next_;
  next_ += count;
  const auto before = ctx.done.mappings_collapsed;
  merging_.on_change(map, ctx, first, count);
  return ctx.done.mappings_collapsed - before;
}

}  // namespace memsim
