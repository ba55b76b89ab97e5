// SPDX-License-Identifier: Apache-2.0
#include <memsim/vm/khugepaged.hpp>

#include <algorithm>

namespace memsim {
namespace {

constexpr vpn up_to_2m(vpn page) { return (page + (pageblock_frames - 1)).base(page_size::m2); }

}  // namespace

std::string_view name_of(collapse_status status) {
  static constexpr std::array<std::string_view, collapse_statuses> names{
      "collapsed",       "nothing mapped",   "already huge",       "held",      "too many none",
      "too many shared", "nothing writable", "nothing referenced", "no memory", "over the limit"};
  return names[static_cast<std::size_t>(status)];
}

std::string to_text(collapse_status status) { return std::string{name_of(status)}; }

khugepaged::khugepaged(virtual_memory& vm, const khugepaged_config& how) : vm_{&vm}, how_{how} {
  const auto check = [](std::string_view name, frame_count value) {
    if (value < page_table_entries) return;
    throw_usage("{} {}: allowed are 0 to {}", name, value, page_table_entries - 1);
  };
  check("max_ptes_none", how.max_ptes_none);
  check("max_ptes_swap", how.max_ptes_swap);
  check("max_ptes_shared", how.max_ptes_shared);
  if (how.pages_to_scan == 0) throw_usage("pages_to_scan 0: it must be at least 1");
}

khugepaged_result khugepaged::scan(context& ctx, frame_count pages) {
  khugepaged_result result;
  unsigned heads = 0;
  while (result.scanned < pages && !result.out_of_memory) {
    if (next_process_ == 0 && ++heads == 2) break;
    auto* const process = process_at_cursor();
    if (process == nullptr && next_process_ == 0) break;
    if (process != nullptr) {
      if (scan_process(ctx, *process, pages, result) == walk_end::stopped) continue;
      next_process_ = process->number_ + 1;
      next_page_ = {};
      if (process_at_cursor() != nullptr) continue;
    }
    ++counts_.full_scans;
    next_process_ = 0;
    next_page_ = {};
  }
  return result;
}

// The next with something to do. Not the one where it stopped, if that is gone.
address_space* khugepaged::process_at_cursor() {
  for (const auto& process : vm_->processes_) {
    if (process->number_ < next_process_) continue;
    const auto works = [&](const vma& area) { return has_work(*process, area); };
    if (std::ranges::any_of(process->areas_, works)) return process.get();
  }
  return nullptr;
}

bool khugepaged::has_work(const address_space& process, const vma& area) {
  return area.own != anon_vma_id::none && area.source == &process.vm_->anonymous_ &&
         process.may_be_huge(area, up_to_2m(area.first));
}

khugepaged::walk_end khugepaged::scan_process(context& ctx, address_space& process,
                                              frame_count pages, khugepaged_result& result) {
  if (process.number_ != next_process_) next_page_ = {};
  next_process_ = process.number_;
  for (auto at = process.area_above(next_page_); at != process.areas_.end(); ++at) {
    if (!has_work(process, *at)) {
      ++result.scanned;
      continue;
    }
    auto first = up_to_2m(std::max(at->first, next_page_));
    for (; first + pageblock_frames <= at->end; first = first + pageblock_frames) {
      const auto status = try_to_collapse(ctx, process, *at, first);
      ++by_status_[static_cast<std::size_t>(status)];
      result.collapsed += status == collapse_status::collapsed;
      result.out_of_memory = status == collapse_status::no_memory;
      result.scanned += pageblock_frames;
      next_page_ = first + pageblock_frames;
      if (result.scanned >= pages || result.out_of_memory) return walk_end::stopped;
    }
  }
  return walk_end::whole;
}

collapse_status khugepaged::try_to_collapse(context& ctx, address_space& process, vma& area,
                                            vpn first) {
  if (const auto no = refuses(ctx, process, first)) return *no;
  if (const auto done = process.replace_table(ctx, area, first); !done) {
    return done.error().code() == errc::busy ? collapse_status::over_limit
                                             : collapse_status::no_memory;
  }
  ++counts_.pages_collapsed;
  return collapse_status::collapsed;
}

// Whether, and why, 2 MiB stay as they are.
std::optional<collapse_status> khugepaged::refuses(context& ctx, address_space& process,
                                                   vpn first) {
  const auto* const pmd = process.table_.find(first, page_size::m2);
  if (pmd == nullptr || pmd->is_none()) return collapse_status::nothing_mapped;
  if (pmd->is_leaf()) return collapse_status::already_huge;
  const auto found = process.look_at_table(ctx, first);
  if (found.none > how_.max_ptes_none) {
    ++counts_.scan_exceed_none;
    return collapse_status::too_many_none;
  }
  if (found.shared > how_.max_ptes_shared) {
    ++counts_.scan_exceed_shared;
    return collapse_status::too_many_shared;
  }
  if (found.held || found.lost) return collapse_status::held;
  if (found.writable == 0) return collapse_status::nothing_writable;
  if (found.referenced == 0) return collapse_status::nothing_referenced;
  return std::nullopt;
}

}  // namespace memsim
