// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Files in memory: pages that are read when they are first asked for, written when they were
/// changed, and given up when memory is short.
///
///     page_cache files{memory};
///     const auto file = files.add_file();
///     const auto page = files.read(ctx, file, 0);     // from the disk
///     files.write(ctx, file, 0);                      // dirty now
///     files.sync(ctx, file);
///     files.drop_clean(ctx);                          // as `echo 1 > /proc/sys/vm/drop_caches`

#include <array>
#include <cstdint>
#include <expected>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include <memsim/alloc/page_allocator.hpp>
#include <memsim/alloc/page_owner.hpp>
#include <memsim/core/context.hpp>
#include <memsim/core/error.hpp>
#include <memsim/core/statistics.hpp>
#include <memsim/core/types.hpp>
#include <memsim/vm/page_store.hpp>

namespace memsim {

/// A file of a page cache, numbered from 0.
enum class file_id : std::uint32_t {};

struct page_cache_counts {
  std::uint64_t hits = 0;
  std::uint64_t misses = 0;
  std::uint64_t writes_started = 0;
  std::uint64_t reclaimed = 0;
  std::uint64_t moved = 0;

  friend bool operator==(const page_cache_counts&, const page_cache_counts&) = default;
};

inline constexpr std::array page_cache_statistics{
    statistic<page_cache_counts>{"cache_hits", "pages", "pages asked for that were there",
                                 &page_cache_counts::hits},
    statistic<page_cache_counts>{"cache_misses", "pages", "pages asked for that were not",
                                 &page_cache_counts::misses},
    statistic<page_cache_counts>{"cache_writes_started", "pages",
                                 "dirty pages handed to the device, by whomever",
                                 &page_cache_counts::writes_started},
    statistic<page_cache_counts>{"cache_reclaimed", "pages", "pages that reclaim or a claim took",
                                 &page_cache_counts::reclaimed},
    statistic<page_cache_counts>{"cache_moved", "pages", "pages that moved to another frame",
                                 &page_cache_counts::moved},
};

/// Whoever maps pages of files. Like a page_owner, it changes nothing of the allocator meanwhile.
class file_mapper {
 public:
  virtual ~file_mapper() = default;
  [[nodiscard]] virtual bool is_mapped(pfn page) const = 0;
  /// Whether somebody who maps it has locked it in memory.
  [[nodiscard]] virtual bool is_locked(pfn page) const = 0;
  /// The page leaves the cache.
  virtual void unmap_file_page(pfn page) = 0;
  /// The page is being written to its device: a write through a mapping must be noticed again.
  virtual void protect_file_page(pfn page) = 0;
  virtual void file_page_moved(pfn from, pfn to) = 0;
  /// Whether the page was used through a mapping since this was last asked.
  [[nodiscard]] virtual bool was_accessed(pfn page) = 0;
};

/// Owns the pages of its files. It stays where it is, and outlives the allocator, which refers to
/// it, or is detached.
class page_cache final : public page_owner {
 public:
  /// \param store  where changed pages go; nullptr: a write is over at once
  explicit page_cache(page_allocator& memory, page_store* store = nullptr);
  page_cache(const page_cache&) = delete;
  page_cache& operator=(const page_cache&) = delete;

  /// A new, empty file.
  file_id add_file();

  /// The page of a file; if it is not there, a page is allocated and read.
  /// \return errc::no_memory; the OOM killer has had its turn then
  /// \throws usage_error if there is no such file; so do the following
  std::expected<pfn, error> read(context& ctx, file_id file, std::uint64_t index);
  /// The same page changed as a whole: it is dirty, and not read first.
  std::expected<pfn, error> write(context& ctx, file_id file, std::uint64_t index);
  /// Where the page is, if it is there; that is no access.
  [[nodiscard]] std::optional<pfn> find(file_id file, std::uint64_t index) const;

  /// Starts to write a file's dirty pages, in the order of their indices, as far as the device
  /// takes them.
  /// \return pages whose write was started
  frame_count sync(context& ctx, file_id file);
  /// Gives up a file's pages from `first` on, dirty or not. A pinned page stays.
  void truncate(context& ctx, file_id file, std::uint64_t first);
  /// Gives up pages [first, first + count) likewise.
  void punch_hole(context& ctx, file_id file, std::uint64_t first, std::uint64_t count);
  /// Forgets a page whose frame is lost, and does not give it back.
  void abandon(file_id file, std::uint64_t index);
  /// Gives up every page that is clean and neither mapped nor pinned.
  /// \return how many
  frame_count drop_clean(context& ctx);

  /// Says who maps pages of its files, as often as remove_mapper() says that nobody does.
  /// \throws usage_error if somebody else does
  void add_mapper(file_mapper& mapper);
  void remove_mapper();

  /// Leaves its pages to nobody: the allocator refers to this no more. There are no files then.
  void detach();

  /// Pages of all files.
  [[nodiscard]] frame_count cached() const { return cached_; }
  /// Pages of one file.
  [[nodiscard]] frame_count cached(file_id file) const { return pages_of(file).size(); }
  [[nodiscard]] owner_id owner() const { return id_; }
  [[nodiscard]] const page_cache_counts& counts() const { return counts_; }
  [[nodiscard]] std::vector<statistic_value> statistics() const;

  // page_owner
  void moved(pfn from, pfn to, std::uint32_t tag) override;
  [[nodiscard]] bool drops(pfn page, std::uint32_t tag) override;
  [[nodiscard]] write_outcome writes(pfn page, std::uint32_t tag) override;
  [[nodiscard]] bool was_referenced(pfn page, std::uint32_t tag) override;

 private:
  using pages = std::map<std::uint64_t, std::uint32_t>;  // by index, slots

  struct entry {
    file_id file{};
    std::uint64_t index = 0;
    pfn page{};
    std::uint64_t write = 0;  // the number of the write that is going on; 0: none
  };

  [[nodiscard]] pages& pages_of(file_id file);
  [[nodiscard]] const pages& pages_of(file_id file) const;
  std::expected<pfn, error> get(context& ctx, file_id file, std::uint64_t index);
  void forget(std::uint32_t slot);
  void give_up(context& ctx, std::uint32_t slot);
  void written(std::uint32_t slot, std::uint64_t write);

  page_allocator* memory_;
  page_store* store_;
  file_mapper* mapper_ = nullptr;
  std::size_t mapper_uses_ = 0;
  owner_id id_;
  std::vector<pages> files_;
  std::vector<entry> entries_;
  std::vector<std::uint32_t> free_slots_;
  frame_count cached_ = 0;
  std::uint64_t writes_ = 0;
  page_cache_counts counts_;
  std::shared_ptr<char> alive_;  // for writes that are over when this is gone
};

}  // namespace memsim
