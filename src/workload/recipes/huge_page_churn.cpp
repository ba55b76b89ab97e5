// SPDX-License-Identifier: Apache-2.0
// Processes on huge pages, which they take where they can and split where they give back a part.
#include <algorithm>
#include <array>
#include <expected>
#include <utility>
#include <vector>

#include "workload/recipe_memory.hpp"

namespace memsim::detail {
namespace {

constexpr std::array parameters{
    recipe_parameter{"split_share", "1", 0.25, 0, 1, rule::off,
                     "huge pages that are split, for each one that is taken"},
    recipe_parameter{"kept", "1", 0.5, 0, 1, rule::off,
                     "part of a split huge page that stays in use"},
    recipe_parameter{"kernel_churn", "pages", 10, 0, 1000, rule::off,
                     "kernel pages replaced for a thousand pages of processes"},
};

/// 2 MiB of a process's addresses: one huge page, or small ones, and their page table. A huge page
/// has one in store for when it is split.
struct region {
  std::vector<user_block> blocks{};
  kernel_block table{};
};

class huge_pages final : public recipe_course {
 public:
  explicit huge_pages(recipe_memory& memory) : memory_{memory}, random_{memory.stream("regions")} {
    memory.ask_for_room([this] { return drop_any(); });
  }
  huge_pages(const huge_pages&) = delete;
  huge_pages& operator=(const huge_pages&) = delete;
  ~huge_pages() override { memory_.ask_for_room({}); }

  std::expected<turn_end, error> turn() override {
    memory_.change_cpu();
    if (auto added = add(); !added) return std::unexpected{added.error()};
    splits_owed_ += memory_.parameter("split_share");
    for (; splits_owed_ >= 1; splits_owed_ -= 1) split_any();
    memory_.change_cpu();
    shrink_to_target();
    if (auto kept = memory_.churn_kernel(memory_.parameter("kernel_churn")); !kept) {
      return std::unexpected{kept.error()};
    }
    return turn_end::may_end;
  }

  void end() override {
    memory_.come_down();
    shrink_to_target();
  }

 private:
  void shrink_to_target() {
    while (memory_.user() > memory_.user_target() && drop_any()) {
    }
  }

  std::expected<void, error> add() {
    const auto table = memory_.kernel_memory(order{0}, gfp_kernel_account | gfp_flag::zero);
    if (!table) return std::unexpected{table.error()};
    region added{.table = *table};
    if (const auto huge = memory_.try_user_block(pageblock_order, gfp_transhuge_light)) {
      added.blocks.push_back(*huge);
    } else {
      ++memory_.own_counts().large_requests_failed;
      if (auto small = add_small(added); !small) return small;
    }
    regions_.push_back(std::move(added));
    return {};
  }

  std::expected<void, error> add_small(region& r) {
    for (frame_count n = 0; n < pageblock_frames; ++n) {
      const auto page = memory_.user_page();
      if (!page) return std::unexpected{page.error()};
      r.blocks.push_back(*page);
    }
    return {};
  }

  // A part of the region is given back, so that what stays must be small pages. Regions that are
  // small already are left alone.
  void split_any() {
    if (regions_.empty()) return;
    auto& r = regions_[random_.below(regions_.size())];
    if (r.blocks.empty() || memory_.size_of(r.blocks.front()) != pageblock_order) return;
    ++memory_.own_counts().huge_pages_split;
    std::vector<user_block> kept;
    for (const auto& page : memory_.split(r.blocks.front())) {
      if (random_.chance(memory_.parameter("kept"))) {
        kept.push_back(page);
      } else {
        memory_.free(page);
      }
    }
    r.blocks = std::move(kept);
  }

  // Whether there was one to drop.
  bool drop_any() {
    if (regions_.empty()) return false;
    std::swap(regions_[random_.below(regions_.size())], regions_.back());
    for (const auto& block : regions_.back().blocks) memory_.free(block);
    memory_.free(regions_.back().table);
    regions_.pop_back();
    return true;
  }

  recipe_memory& memory_;
  random_stream random_;
  std::vector<region> regions_;
  double splits_owed_ = 0;
};

}  // namespace

constinit const recipe_entry huge_page_churn{
    .description = {.name = "huge_page_churn",
                    .models = "processes on transparent huge pages, some of which are split when a "
                              "part of them is given back",
                    .leaves = "whole pageblocks in use or free, and between them pageblocks of "
                              "which splits left a part",
                    .parameters = parameters},
    .begin = begin_course<huge_pages>};

}  // namespace memsim::detail
