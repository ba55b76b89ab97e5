// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The page table of an address space: four levels of tables of 512 entries, each in a frame that
/// was taken from the page allocator.
///
///     page_table table{memory};
///     auto entry = table.make(ctx, page, page_size::k4);
///     if (entry) **entry = page_entry::page(frame).with(page_entry::writable);

#include <array>
#include <cstdint>
#include <expected>
#include <memory>
#include <vector>

#include <memsim/alloc/page_allocator.hpp>
#include <memsim/arch/virtual_page.hpp>
#include <memsim/core/context.hpp>
#include <memsim/core/error.hpp>
#include <memsim/vm/page_entry.hpp>

namespace memsim {

/// What a walk ends at.
struct table_walk {
  page_entry* entry = nullptr;  ///< of the size below; nullptr: a table on the way is missing
  page_size size = page_size::k4;
  frame_count span = 1;  ///< pages of which the same can be said, beginning at a multiple of it
};

/// A table whose last use ends stays until trim() says that its range is unmapped, as in the
/// kernel.
class page_table {
 public:
  /// Tables hold 512 times as much as those below: 2 MiB, 1 GiB, 512 GiB, 256 TiB.
  static constexpr unsigned levels = 4;
  /// No page is as high.
  static constexpr vpn end{std::uint64_t{1} << 36};

  /// \param memory  must outlive the page table
  explicit page_table(page_allocator& memory) : memory_{&memory} {}
  page_table(const page_table&) = delete;
  page_table& operator=(const page_table&) = delete;

  /// The entry of exactly this size, or nullptr: there is no table for it, or, for a small page,
  /// a larger one in its place.
  [[nodiscard]] page_entry* find(vpn page, page_size size);
  /// Where a translation of the page ends: at the entry of a page of any size, or at one that maps
  /// nothing.
  [[nodiscard]] table_walk walk(vpn page);
  /// The entry of exactly this size; tables on the way are made.
  /// \return errc::no_memory; tables that were made stay
  /// \throws usage_error if a larger page is in the way
  [[nodiscard]] std::expected<page_entry*, error> make(context& ctx, vpn page, page_size size);

  /// A table that is not yet used, set aside so that a large page can be split without memory.
  /// \return errc::no_memory
  [[nodiscard]] std::expected<void, error> deposit(context& ctx);
  /// Gives one back that is not needed any more.
  void withdraw(context& ctx);
  /// Replaces the entry of a 2 MiB page by a deposited table with no entries.
  std::array<page_entry, page_table_entries>& install_deposited(vpn page);
  /// The table of 2 MiB, which has no entries, is set aside, and its entry free for a large page.
  void set_aside(vpn page);

  /// Frees the tables that hold nothing but pages from `first` to before `before`, none of which is
  /// mapped any more.
  void trim(context& ctx, vpn first, vpn before);
  /// Moves the large page, or of 2 MiB the whole table, to an entry of the same size that has
  /// nothing, or a table without entries.
  void move_whole(context& ctx, vpn from, vpn to, page_size size);

  /// Tables of all levels, those set aside included.
  [[nodiscard]] frame_count tables() const { return tables_; }

 private:
  using table = std::array<page_entry, page_table_entries>;
  struct node {
    table entries{};
    pfn frame{};
  };

  [[nodiscard]] std::expected<std::uint32_t, error> make_node(context& ctx);
  void free_node(context& ctx, std::uint32_t number);
  [[nodiscard]] page_entry* leaf_entry(vpn page);
  void remember_leaf(vpn page, table& entries) {
    leaf_ = &entries;
    leaf_region_ = page.value() / page_table_entries;
  }
  void forget_leaf() { leaf_ = nullptr; }
  bool trim_level(context& ctx, std::uint32_t number, unsigned level, std::uint64_t base,
                  std::uint64_t first, std::uint64_t before);

  page_allocator* memory_;
  std::vector<std::unique_ptr<node>> nodes_;  // by number less one
  std::vector<std::uint32_t> unused_;
  std::vector<std::uint32_t> deposited_;
  std::uint32_t root_ = 0;  // 0: none
  // The table of 4 KiB entries that was found last, and the 2 MiB that it maps.
  table* leaf_ = nullptr;
  std::uint64_t leaf_region_ = 0;
  frame_count tables_ = 0;
};

}  // namespace memsim
