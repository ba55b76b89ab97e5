// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// hugetlb: a pool of huge pages that is set aside, and files and private memory made of them.
///
///     hugetlb pool{vm, hugetlb_6_12};
///     pool.resize(ctx, 16);                                        // vm.nr_hugepages
///     auto& mount = **pool.mount(ctx, {.most = 8});                // size=
///     auto& file = **mount.create("a");
///     process.mmap(ctx, 8_MiB .frames(), {.source = &file, .with = sharing::shared_pages});
///     pool.map_anonymous(ctx, process, 8_MiB .frames());           // MAP_HUGETLB
///
/// mmap() fails with errc::no_memory if it cannot be promised its pages; an access that finds no
/// page fails with errc::bus_error (SIGBUS).
///
/// Source: docs/linux-rules/hugetlb.md.

#include <cstdint>
#include <expected>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <memsim/alloc/gfp.hpp>
#include <memsim/alloc/kernel_profile.hpp>
#include <memsim/core/context.hpp>
#include <memsim/core/error.hpp>
#include <memsim/core/types.hpp>
#include <memsim/policy/page_pool.hpp>
#include <memsim/policy/reservation.hpp>
#include <memsim/policy/subpool.hpp>
#include <memsim/vm/address_space.hpp>
#include <memsim/vm/backing.hpp>

namespace memsim {

class hugetlb;
class hugetlb_mount;

struct hugetlb_config {
  page_size size = page_size::m2;  ///< m2 or g1
  /// What a private mapping's owner unmaps it is promised again (from 6.12).
  bool zap_restores_promise = false;
  /// How pages of 2 MiB are asked for. Modelling assumption.
  gfp flags = gfp_highuser_movable | gfp_flag::comp | gfp_flag::nowarn | gfp_flag::retry_mayfail;
  /// CMA areas for pages of 1 GiB (hugetlb_cma=), the first that has one; otherwise ranges of
  /// memory are searched for them.
  std::vector<std::size_t> cma_areas{};
};

inline const hugetlb_config hugetlb_6_1{};
inline const hugetlb_config hugetlb_6_12{.zap_restores_promise = true};
/// Those of a kernel that was recorded; of a profile with another name those of 6.1.
[[nodiscard]] const hugetlb_config& hugetlb_rules(const kernel_profile& profile);

/// A file of huge pages, or private memory of them. Its offsets are in pages of 4 KiB.
class hugetlb_file final : public backing {
 public:
  /// \param in  nullptr: memory without a name, which goes when nobody maps it any more
  hugetlb_file(hugetlb& pool, hugetlb_mount* in, frame_count size);
  ~hugetlb_file() override;

  [[nodiscard]] frame_count size() const { return size_ * frames_of(granule()); }
  /// Pages that the file keeps.
  [[nodiscard]] frame_count pages_kept() const { return cached_.size() * frames_of(granule()); }
  /// The page that it keeps for a page of 4 KiB, if it keeps one.
  [[nodiscard]] std::optional<pfn> page_at(std::uint64_t index) const;
  [[nodiscard]] const reservation& promises() const { return promises_; }

  /// fallocate(): gets the pages of a range, and makes the file as long.
  /// \param keep_size  FALLOC_FL_KEEP_SIZE
  /// \return errc::no_space at the first page that cannot be had; the size is then what it was.
  ///         errc::invalid if it would end beyond all numbers
  /// \throws usage_error if the range is not one of whole pages
  std::expected<void, error> allocate_range(context& ctx, std::uint64_t first, frame_count count,
                                            bool keep_size = false);

  // backing
  [[nodiscard]] page_size granule() const override;
  [[nodiscard]] bool joins_areas() const override { return false; }
  std::expected<void, error> reserve(context& ctx, const mapped_area& of) override;
  std::expected<backing_page, error> fault(context& ctx, const fault_request& want) override;
  std::expected<pfn, error> copy_on_write(context& ctx, const fault_request& want,
                                          pfn shared) override;
  std::expected<void, error> fork(context& ctx, const mapped_area& parent,
                                  const mapped_area& child) override;
  void unmapping(context& ctx, const mapped_area& of, vpn page, pfn frame) override;
  void unmap(context& ctx, const mapped_area& of) override;
  void unused(context& ctx) override;
  void release(context& ctx, const released_page& page) override;
  void punch_hole(context& ctx, std::uint64_t first, frame_count count) override;
  void truncate(context& ctx, std::uint64_t size) override;
  failure_outcome memory_failure(context& ctx, std::uint64_t index) override;
  void lost(context& ctx, const released_page& page) override;

 private:
  friend class hugetlb;
  friend class hugetlb_mount;

  struct cached_page {
    pfn first{};
    bool was_mapped = false;  ///< if not, it is still zeroes
  };

  [[nodiscard]] std::uint64_t huge(std::uint64_t pages) const;
  [[nodiscard]] static error no_page(const fault_request& want, const error& why);
  bool rob(context& ctx, const fault_request& want, pfn page);
  void uncache(context& ctx, pfn page);
  void end(context& ctx);

  hugetlb* pool_;
  hugetlb_mount* in_;
  std::uint64_t size_;
  reservation promises_;
  std::map<std::uint64_t, cached_page> cached_;
  std::uint64_t pages_out_ = 0;  // private ones, and those that are held and not cached any more
  bool has_name_;
  bool ended_ = false;
};

/// A mounted hugetlbfs.
class hugetlb_mount {
 public:
  hugetlb_mount(hugetlb& pool, const subpool_limits& limits)
      : pool_{&pool}, limited_{subpool{limits}} {}
  hugetlb_mount(const hugetlb_mount&) = delete;
  hugetlb_mount& operator=(const hugetlb_mount&) = delete;

  /// An empty file.
  /// \return errc::invalid if there is one of that name
  std::expected<hugetlb_file*, error> create(std::string name);
  /// \return nullptr: there is none
  [[nodiscard]] hugetlb_file* find(std::string_view name) const;
  /// Takes the file's name; it ends when nobody maps it any more.
  /// \return errc::invalid if there is none
  std::expected<void, error> unlink(context& ctx, std::string_view name);
  [[nodiscard]] const subpool& limits() const { return limited_.limits; }

 private:
  friend class hugetlb;
  friend class hugetlb_file;

  hugetlb* pool_;
  limited_pool limited_;
  std::map<std::string, hugetlb_file*, std::less<>> names_;
};

/// The huge pages of one size.
class hugetlb final : private page_source {
 public:
  /// \param vm  outlives it
  /// \throws usage_error if the size is 4K, or there is no such CMA area
  hugetlb(virtual_memory& vm, hugetlb_config how);
  hugetlb(const hugetlb&) = delete;
  hugetlb& operator=(const hugetlb&) = delete;
  /// Nothing is mapped, and nobody holds a page. What is free of it stays in use: resize(ctx, 0)
  /// gives it back before.
  ~hugetlb() override;

  /// Writes to nr_hugepages.
  /// \return pages that there are then, surplus ones not counted
  std::uint64_t resize(context& ctx, std::uint64_t pages) { return pool_.resize(ctx, pages); }
  /// Writes to nr_overcommit_hugepages.
  /// \return errc::invalid for pages of 1 GiB
  std::expected<void, error> set_overcommit(std::uint64_t pages) {
    return pool_.set_overcommit(pages);
  }
  /// \return errc::invalid if `least` is above `most`, errc::no_memory if it cannot be promised
  std::expected<hugetlb_mount*, error> mount(context& ctx, const subpool_limits& limits = {});
  /// Ends the mount, and all of its files.
  /// \return errc::busy if one of them is mapped or held
  /// \throws usage_error if it is another pool's
  std::expected<void, error> unmount(context& ctx, hugetlb_mount& which);
  /// Maps memory of huge pages that belongs to no file.
  /// \param how  its `source` and `offset` are not used
  /// \return as address_space::mmap()
  std::expected<vpn, error> map_anonymous(context& ctx, address_space& process, frame_count pages,
                                          mapping_request how = {});

  [[nodiscard]] const page_pool_counts& counts() const { return pool_.counts(); }
  [[nodiscard]] std::vector<statistic_value> statistics() const { return pool_.statistics(); }
  [[nodiscard]] const hugetlb_config& config() const { return how_; }
  [[nodiscard]] virtual_memory& vm() const { return *vm_; }

 private:
  friend class hugetlb_file;
  friend class hugetlb_mount;

  // page_source
  std::expected<pfn, error> get(context& ctx) override;
  void put(context& ctx, pfn page) override;
  [[nodiscard]] bool has_surplus() const override { return how_.size == page_size::m2; }

  void forget(const hugetlb_file& gone);

  virtual_memory* vm_;
  hugetlb_config how_;
  page_pool pool_;
  std::map<pfn, std::size_t> from_cma_;  // and the area that the page is of
  std::list<std::unique_ptr<hugetlb_mount>> mounts_;
  std::list<std::unique_ptr<hugetlb_file>> files_;
};

}  // namespace memsim
