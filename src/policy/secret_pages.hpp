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
};

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
  void end(context& ctx) override;

 private:
  struct chunk {
    pfn first{};
    std::set<pfn> free{};
  };

  [[nodiscard]] std::expected<void, error> grow(context& ctx);
  [[nodiscard]] std::expected<pfn, error> get_chunk(context& ctx);
  void free_chunk(context& ctx, pfn first);
  [[nodiscard]] std::expected<pfn, error> take_of_chunk(context& ctx);

  secret_machine on_;
  single_pages single_;
  std::vector<chunk> chunks_;
  std::set<pfn> fallback_;  // pages that are of no chunk
};

/// Out of pageblocks that are absent as a whole.
class grouped_pages final : public secret_pages {
 public:
  grouped_pages(const secret_machine& machine, unmapped_pool& pool) : on_{machine}, pool_{pool} {}
  [[nodiscard]] std::expected<pfn, error> take(context& ctx) override;
  void put(context& ctx, pfn page) override;

 private:
  secret_machine on_;
  unmapped_pool& pool_;
};

}  // namespace memsim::detail
