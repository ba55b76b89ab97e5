// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// A file of a page cache, mapped by processes.
///
///     page_cache files{memory};
///     file_backing library{vm, files, 400};
///     const auto text = process.mmap(ctx, 400, {.allowed = protection::read, .source = &library});
///     process.read(ctx, *text + 7);        // from the disk, into the cache

#include <cstdint>
#include <expected>
#include <map>
#include <set>

#include <memsim/vm/backing.hpp>
#include <memsim/vm/page_cache.hpp>

namespace memsim {

/// Pages are read when they are first used. A write to a shared mapping makes them dirty, and is
/// noticed again after they were written; one to a private mapping makes a copy.
///
/// Modelling assumptions: no page is read ahead, or mapped because a neighbour is; no transparent
/// huge pages.
class file_backing final : public backing {
 public:
  /// A new file of so many pages, of zeroes.
  /// \param files  the cache that it is in, of the same machine; must outlive this, and has no
  ///               other virtual memory
  file_backing(virtual_memory& vm, page_cache& files, std::uint64_t pages);
  ~file_backing() override;

  [[nodiscard]] file_id file() const { return file_; }
  /// In pages.
  [[nodiscard]] std::uint64_t size() const { return size_; }

  /// \return errc::bus_error behind the end, or where a page was lost; errc::no_memory
  std::expected<backing_page, error> fault(context& ctx, const fault_request& want) override;
  std::expected<void, error> make_writable(context& ctx, const fault_request& want,
                                           pfn page) override;
  void written(std::uint64_t index, std::uint64_t content) override;
  /// Modelling assumption: pages that are pinned stay in the cache, with zeroes in them.
  void punch_hole(context& ctx, std::uint64_t first, frame_count count) override;
  void truncate(context& ctx, std::uint64_t size) override;
  /// A clean page is read again. A dirty one is lost, until the hole there is punched. Modelling
  /// assumption: what the device had of it before is not read either.
  failure_outcome memory_failure(context& ctx, std::uint64_t index) override;

 private:
  page_cache* files_;
  file_id file_;
  std::uint64_t size_;
  std::map<std::uint64_t, std::uint64_t> contents_;  // of pages that were written
  std::set<std::uint64_t> lost_;
};

}  // namespace memsim
