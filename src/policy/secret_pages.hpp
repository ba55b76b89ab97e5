// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The sources of pages that secretmem's designs have.

#include <memory>
#include <set>
#include <vector>

#include <memsim/policy/secretmem.hpp>

namespace memsim {
class page_allocator;
}  // namespace memsim

namespace memsim::detail {

/// What all sources work with, and count in.
struct secret_machine {
  virtual_memory& vm;
  page_allocator& memory;
  direct_map& map;
  const secretmem_config& how;
  secretmem_counts& counts;
  unmapped_pool* grouped;  ///< nullptr: pages are not grouped
  std::vector<secret_block>& stuck;
};

/// Maps a block again and frees it.
/// \return false if it cannot be mapped; it is as it was then
bool give_back(const secret_machine& on, context& ctx, const secret_block& block);
/// Likewise; what cannot be mapped is stuck until secretmem tries again.
void give_back_or_keep(const secret_machine& on, context& ctx, const secret_block& block);

/// One by one from the page allocator.
class single_pages final : public secret_pages {
 public:
  explicit single_pages(const secret_machine& machine) : on_{machine} {}
  [[nodiscard]] std::expected<pfn, error> take(context& ctx) override;
  void put(context& ctx, pfn page) override;
  void undo(context& ctx, pfn page) override;

 private:
  secret_machine on_;
};

/// Out of chunks of 2 MiB, which stay until the end.
///
/// Modelling assumption: the lowest free page of the chunk that was got first.
class chunk_pages final : public secret_pages {
 public:
  explicit chunk_pages(const secret_machine& machine) : on_{machine}, single_{machine} {}
  [[nodiscard]] std::expected<pfn, error> take(context& ctx) override;
  void put(context& ctx, pfn page) override;
  void undo(context& ctx, pfn page) override;
  void end(context& ctx) override;
  void shrink(context& ctx) override;

 private:
  struct chunk {
    pfn first{};
    std::set<pfn> free{};
    bool is_absent = false;  ///< or a part of it, though nobody uses that
  };

  [[nodiscard]] std::expected<void, error> grow(context& ctx);
  [[nodiscard]] std::expected<pfn, error> get_chunk(context& ctx);
  void free_chunk(context& ctx, pfn first);
  void give_back_chunk(context& ctx, const chunk& c);
  [[nodiscard]] std::expected<pfn, error> take_of_chunk(context& ctx);

  secret_machine on_;
  single_pages single_;
  std::vector<chunk> chunks_;
  std::set<pfn> fallback_;  // pages that are of no chunk
};

/// Out of pageblocks that are absent as a whole.
class grouped_pages final : public secret_pages {
 public:
  explicit grouped_pages(const secret_machine& machine) : on_{machine} {}
  [[nodiscard]] std::expected<pfn, error> take(context& ctx) override;
  void put(context& ctx, pfn page) override;

 private:
  secret_machine on_;
};

}  // namespace memsim::detail
