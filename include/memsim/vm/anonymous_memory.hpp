// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The private memory of a process: pages that are zero when first touched, go to swap when memory
/// is short, and come back when they are touched again.
///
///     anonymous_memory heap{memory, {.score_adjustment = 500}};
///     heap.touch(ctx, 0);                                   // page 0 has a frame now
///     fmt::print("{} pages, {} in swap\n", heap.resident(), heap.swapped());

#include <array>
#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <vector>

#include <memsim/alloc/page_allocator.hpp>
#include <memsim/alloc/page_owner.hpp>
#include <memsim/alloc/reclaim.hpp>
#include <memsim/core/context.hpp>
#include <memsim/core/error.hpp>
#include <memsim/core/statistics.hpp>
#include <memsim/core/types.hpp>
#include <memsim/vm/memory_access.hpp>
#include <memsim/vm/page_store.hpp>

namespace memsim {

struct anonymous_memory_config {
  page_store* swap = nullptr;  ///< where pages go; nullptr: a write is over at once
  int score_adjustment = 0;    ///< for the OOM killer, -1000 to 1000
};

struct anonymous_memory_counts {
  std::uint64_t minor_faults = 0;
  std::uint64_t major_faults = 0;
  std::uint64_t failed_faults = 0;
  std::uint64_t swap_outs = 0;
  std::uint64_t moved = 0;

  friend bool operator==(const anonymous_memory_counts&, const anonymous_memory_counts&) = default;
};

inline constexpr std::array anonymous_memory_statistics{
    statistic<anonymous_memory_counts>{"minor_faults", "faults", "pages touched for the first time",
                                       &anonymous_memory_counts::minor_faults},
    statistic<anonymous_memory_counts>{"major_faults", "faults", "pages that were read from swap",
                                       &anonymous_memory_counts::major_faults},
    statistic<anonymous_memory_counts>{"failed_faults", "faults",
                                       "touches for which there was no memory",
                                       &anonymous_memory_counts::failed_faults},
    statistic<anonymous_memory_counts>{"swapped_out", "pages", "pages that left memory for swap",
                                       &anonymous_memory_counts::swap_outs},
    statistic<anonymous_memory_counts>{"anonymous_moved", "pages",
                                       "pages that moved to another frame",
                                       &anonymous_memory_counts::moved},
};

/// Owns its pages, and may be chosen by the OOM killer: it exits then. It stays where it is, and
/// outlives the allocator, which refers to it, or is detached.
class anonymous_memory final : public page_owner, public oom_candidate {
 public:
  /// Pages are numbered below this.
  static constexpr std::uint64_t most_pages = std::uint64_t{1} << 32;

  /// \throws usage_error if the adjustment is out of range
  explicit anonymous_memory(page_allocator& memory, const anonymous_memory_config& how = {});
  anonymous_memory(const anonymous_memory&) = delete;
  anonymous_memory& operator=(const anonymous_memory&) = delete;
  ~anonymous_memory() override;

  /// Uses a page; if it has no frame, it gets one, with its contents.
  ///
  /// A fault without memory is only tried again by the kernel: nobody is killed for it but by the
  /// request for a page itself.
  /// \return errc::no_memory
  /// \throws usage_error if there is no such page
  std::expected<pfn, error> touch(context& ctx, std::uint64_t page,
                                  memory_access how = memory_access::write);
  /// Where a page is, if it is in memory; that is no access.
  [[nodiscard]] std::optional<pfn> find(std::uint64_t page) const;
  /// Gives up a page and its contents. A pinned page stays; so it does in exit().
  void release(context& ctx, std::uint64_t page);
  /// Gives up all pages.
  void exit(context& ctx);
  /// Leaves the pages that are in memory to nobody, and gives up the rest: the allocator refers to
  /// this no more. Nothing can be touched from then on.
  void detach();

  [[nodiscard]] frame_count resident() const { return resident_; }
  [[nodiscard]] frame_count swapped() const { return pages_ - resident_; }
  /// Page tables of the lowest level that hold any of its pages.
  [[nodiscard]] frame_count page_tables() const;
  [[nodiscard]] bool was_killed() const { return killed_; }
  [[nodiscard]] const anonymous_memory_counts& counts() const { return counts_; }
  [[nodiscard]] std::vector<statistic_value> statistics() const;

  // page_owner
  void moved(pfn from, pfn to, std::uint32_t tag) override;
  [[nodiscard]] bool was_referenced(pfn page, std::uint32_t tag) override;
  [[nodiscard]] write_outcome swaps_out(pfn page, std::uint32_t tag) override;
  [[nodiscard]] bool drops(pfn page, std::uint32_t tag) override;

  // oom_candidate
  [[nodiscard]] oom_usage usage() const override;
  [[nodiscard]] int score_adjustment() const override { return how_.score_adjustment; }
  void killed(context& ctx) override;

 private:
  struct entry {
    enum class state : unsigned char { untouched, resident, swapped };

    pfn page{};               // if it is resident
    std::uint64_t write = 0;  // the number of the write that is going on; 0: none
    state where = state::untouched;
    bool accessed = false;  // since reclaim last looked
  };
  /// Of the pages of one page table.
  struct table {
    std::array<entry, page_table_entries> entries{};
    std::uint32_t used = 0;  // entries that are not untouched
  };
  using tables = std::vector<std::unique_ptr<table>>;  // by page number / page_table_entries

  [[nodiscard]] const entry* find_entry(std::uint64_t page) const;
  [[nodiscard]] entry& entry_of(std::uint64_t page);
  void give_up(context& ctx, table& of, entry& what);
  void drop_unused(std::unique_ptr<table>& of);
  void written(std::uint32_t tag, std::uint64_t write);

  page_allocator* memory_;
  anonymous_memory_config how_;
  owner_id id_;
  tables tables_;
  frame_count used_tables_ = 0;
  frame_count pages_ = 0;  // resident or swapped
  frame_count resident_ = 0;
  std::uint64_t writes_ = 0;
  bool killed_ = false;
  anonymous_memory_counts counts_;
  std::shared_ptr<char> alive_;  // for writes that are over when this is gone
};

}  // namespace memsim
