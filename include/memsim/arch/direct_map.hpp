// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The kernel's linear map of all memory, and what it costs to punch holes in it.
///
///     page_allocator memory{{.memory = memory_map::x86_64(4_GiB)}};
///     counting_flusher tlbs{8};
///     direct_map map{boot_layout(memory.memory()), memory, tlbs};
///     context ctx;
///     const auto done = map.change(ctx, pfn{300'000}, 1, make_invalid);
///     fmt::print("{} splits, {} IPIs\n", ctx.done.mappings_split, ctx.done.ipis);

#include <array>
#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <memsim/arch/mapping.hpp>
#include <memsim/core/context.hpp>
#include <memsim/core/digest.hpp>
#include <memsim/core/error.hpp>
#include <memsim/core/statistics.hpp>
#include <memsim/core/types.hpp>

namespace memsim {

class memory_map;
class merge_policy;
class page_allocator;
class tlb_flusher;

/// Entries of each size, present or not.
struct mapping_counts {
  std::uint64_t k4 = 0;
  std::uint64_t m2 = 0;
  std::uint64_t g1 = 0;

  /// Memory that they map.
  [[nodiscard]] frame_count frames() const {
    return k4 + m2 * frames_of(page_size::m2) + g1 * frames_of(page_size::g1);
  }
  friend bool operator==(const mapping_counts&, const mapping_counts&) = default;
};

[[nodiscard]] std::string to_text(const mapping_counts&);  ///< `1024 x 4K, 510 x 2M, 3 x 1G`

/// Events since the map was made. They only grow.
struct direct_map_counts {
  std::uint64_t m2_splits = 0;
  std::uint64_t g1_splits = 0;
  std::uint64_t m2_collapses = 0;
  std::uint64_t g1_collapses = 0;

  friend bool operator==(const direct_map_counts&, const direct_map_counts&) = default;
};

/// Named as in /proc/vmstat, where a 2 MiB page is of level 2.
inline constexpr std::array direct_map_statistics{
    statistic<direct_map_counts>{"direct_map_level2_splits", "events",
                                 "2 MiB mappings split into 4 KiB ones",
                                 &direct_map_counts::m2_splits},
    statistic<direct_map_counts>{"direct_map_level3_splits", "events",
                                 "1 GiB mappings split into 2 MiB ones",
                                 &direct_map_counts::g1_splits},
    statistic<direct_map_counts>{"direct_map_level2_collapses", "events",
                                 "tables of 4 KiB mappings collapsed into a 2 MiB one",
                                 &direct_map_counts::m2_collapses},
    statistic<direct_map_counts>{"direct_map_level3_collapses", "events",
                                 "tables of 2 MiB mappings collapsed into a 1 GiB one",
                                 &direct_map_counts::g1_collapses},
};

/// How the callers of the kernel's page attribute code ask for a range.
enum class change_calls : unsigned char {
  one_call,  ///< one call for the range, as set_memory_ro() and set_memory_rw() do
  per_page,  ///< a call for each page, as set_direct_map_*_noflush() and array-style calls do
};

/// The layout that a kernel boots with.
///
/// The first MiB and the 4 KiB pages up to the next 2 MiB boundary are small; each range of RAM
/// above is mapped by 4 KiB pages up to a 2 MiB boundary, by 2 MiB pages up to a 1 GiB boundary, by
/// 1 GiB pages, and then by smaller ones again. The kernel's own image is not treated apart.
///
/// \param largest  1G only if the CPU has such pages; 4K as with debug_pagealloc
[[nodiscard]] std::vector<mapped_run> boot_layout(const memory_map& memory,
                                                  page_size largest = page_size::g1);

/// A page table that was taken from the page allocator when a mapping was split.
struct page_table_frame {
  pfn first{};                      ///< first frame of the mapping that was split
  page_size split = page_size::m2;  ///< its size
  pfn table{};                      ///< where the table is

  friend bool operator==(const page_table_frame&, const page_table_frame&) = default;
};

/// A direct map as plain data.
struct direct_map_state {
  std::vector<mapped_run> runs;          ///< ascending, as few as can be
  std::vector<page_table_frame> tables;  ///< ascending by mapping, the larger first
  direct_map_counts counts{};

  friend bool operator==(const direct_map_state&, const direct_map_state&) = default;
};

struct direct_map_config {
  page_size largest = page_size::g1;      ///< that the CPU has
  const merge_policy* merging = nullptr;  ///< must outlive the map; nullptr: nothing ever merges
};

/// Maps every frame of RAM at an address of its own, by the largest pages that there are.
///
/// A change of flags over part of a large page splits it one level at a time. Each split takes one
/// unmovable frame from the page allocator for the new table and flushes every TLB. A change that
/// covers a large page leaves it large. Nothing merges by itself: see merge_policy.
///
/// Source: the page attribute code of x86, Linux 6.1 and 6.12; docs/linux-rules/direct-map.md has
/// the rules, D1 to D8.
class direct_map {
 public:
  /// \param layout   runs in ascending order, each of whole aligned pages
  /// \param memory   where page tables come from; must outlive the map
  /// \param tlbs     told of every flush; must outlive the map
  /// \throws usage_error if runs overlap, are out of order, not of whole pages of their size, or
  ///         of pages that the CPU does not have
  direct_map(std::span<const mapped_run> layout, page_allocator& memory, tlb_flusher& tlbs,
             const direct_map_config& config = {});

  /// Takes up from a state.
  /// \return errc::inconsistent if its tables are not those of its runs, or their frames not in use
  [[nodiscard]] static std::expected<direct_map, error> restore(const direct_map_state& state,
                                                                page_allocator& memory,
                                                                tlb_flusher& tlbs,
                                                                const direct_map_config& config);

  /// A fork, for a copy of the memory.
  direct_map(const direct_map& other, page_allocator& memory, tlb_flusher& tlbs);
  direct_map(const direct_map&) = delete;
  direct_map& operator=(const direct_map&) = delete;
  direct_map(direct_map&&) noexcept = default;
  direct_map& operator=(direct_map&&) = delete;
  ~direct_map() = default;

  /// Has another policy merge from now on; nullptr: nothing merges.
  void set_merging(const merge_policy* merging) { config_.merging = merging; }

  /// Changes the flags of [first, first + count). Only splits flush: what else may be stale is the
  /// caller's to flush, who may have more to change first. See flush(), which belongs after what
  /// the kernel's set_memory_*() do.
  ///
  /// \param ctx    who acts; entries written, splits and flushes are added to its ledger
  /// \param count  frames, at least 1
  /// \return       errc::no_memory if a page table could not be had; then no mapping changed
  /// \throws       usage_error if a frame of the range is not mapped; then nothing changed
  [[nodiscard]] std::expected<void, error> change(context& ctx, pfn first, frame_count count,
                                                  mapping_change how,
                                                  change_calls calls = change_calls::one_call);

  /// Flushes the range from every TLB.
  void flush(context& ctx, pfn first, frame_count count);

  /// Asks for large pages back where the range allows, as set_memory_rox() does since Linux 6.15;
  /// whether that does anything is up to the merge policy.
  /// \throws usage_error if a frame of the range is not mapped
  void request_collapse(context& ctx, pfn first, frame_count count);

  /// What a collapse looks at, and how far it goes.
  struct collapse_limits {
    page_size largest = page_size::g1;       ///< of the pages that are made
    mapping_flags wanted = mapping_flags{};  ///< that all entries must have, besides being equal
  };
  /// Collapses every table below which a frame of the range is mapped and whose 512 entries are
  /// equal, from small to large; then one flush of every TLB, and the tables' frames are freed.
  /// The mechanism: it is for merge policies.
  /// \return how many tables collapsed
  std::uint64_t collapse(context& ctx, pfn first, frame_count count, const collapse_limits& limits);

  /// How a frame is mapped; none if it is not.
  [[nodiscard]] std::optional<mapping> at(pfn frame) const;
  /// One past the last frame that may be mapped.
  [[nodiscard]] pfn end() const;

  [[nodiscard]] const mapping_counts& mapped() const { return mapped_; }
  [[nodiscard]] const direct_map_counts& counts() const { return counts_; }
  /// Frames that the page allocator gave for page tables.
  [[nodiscard]] std::uint64_t page_tables() const { return page_tables_; }

  /// The map as runs, as few as there can be, ascending.
  [[nodiscard]] std::vector<mapped_run> runs() const;
  [[nodiscard]] direct_map_state state() const;
  [[nodiscard]] digest state_digest() const;

  /// The three lines of /proc/meminfo.
  [[nodiscard]] std::string meminfo_text() const;

 private:
  static constexpr std::uint32_t none = ~std::uint32_t{0};
  static constexpr frame_count g1_frames = frames_of(page_size::g1);
  static constexpr frame_count m2_frames = frames_of(page_size::m2);
  static constexpr std::uint8_t is_there = 0x80;  // of a 4 KiB entry, beside its flags

  // A place of a table of 1 GiB or 2 MiB entries.
  struct entry {
    enum class kind : std::uint8_t { hole, page, table };
    kind is = kind::hole;
    std::uint8_t flags = 0;      // of the page, or of all pages of a table that has no child
    std::uint32_t child = none;  // index of the table
    std::uint32_t frame = none;  // of the table, if the page allocator gave it
  };
  // 2 MiB entries; 4 KiB entries, of which each is its flags and a bit that it is there.
  using m2_table = std::array<entry, page_table_entries>;
  using k4_table = std::array<std::uint8_t, page_table_entries>;
  struct walk;

  void lay_out(const mapped_run& run);
  [[nodiscard]] std::expected<void, error> adopt(const page_table_frame& table);
  std::uint32_t new_m2_table();
  k4_table& k4_entries(entry& table);
  entry& m2_entry_to_lay_out(std::uint64_t block);
  [[nodiscard]] const entry& m2_entry(std::uint64_t block) const;
  [[nodiscard]] entry& m2_entry(std::uint64_t block);
  void check_mapped(pfn first, frame_count count) const;
  [[nodiscard]] std::uint64_t tables_needed(const walk& range) const;
  void apply(context& ctx, const walk& range, std::span<const pfn> tables);
  static void change_page(context& ctx, entry& page, mapping_change how);
  void change_small(context& ctx, entry& table, frame_count first, frame_count last,
                    mapping_change how);
  void split(context& ctx, entry& page, page_size size, pfn table);
  [[nodiscard]] std::optional<mapping_flags> common_flags(const entry& table, page_size of) const;
  [[nodiscard]] bool collapse_table(context& ctx, entry& table, page_size to,
                                    const collapse_limits& limits, std::vector<pfn>& freed);
  std::uint64_t& count_of(page_size size);

  page_allocator* memory_;
  tlb_flusher* tlbs_;
  direct_map_config config_;
  std::vector<entry> gigabytes_;
  std::vector<m2_table> m2_tables_;
  std::vector<k4_table> k4_tables_;
  std::vector<std::uint32_t> unused_m2_tables_;
  std::vector<std::uint32_t> unused_k4_tables_;
  mapping_counts mapped_;
  direct_map_counts counts_;
  std::uint64_t page_tables_ = 0;
};

}  // namespace memsim
