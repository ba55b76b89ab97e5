// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// secretmem: files whose pages the kernel itself cannot reach, by the designs that were proposed.
///
///     secretmem secrets{vm, map, secretmem_6_1};
///     auto& file = **secrets.create(process);                       // memfd_secret()
///     file.resize(100);                                             // ftruncate()
///     process.mmap(ctx, 100, {.source = &file, .with = sharing::shared_pages});
///     file.close(ctx);                                              // goes with its last mapping
///
/// | design                     | pages come from                        | limit |
/// |----------------------------|----------------------------------------|--------------------------|
/// | secretmem_v16              | 2 MiB of a CMA area for each file      | a process's, at mmap() |
/// | secretmem_5_14             | the allocator, one by one              | a process's, at mmap() |
/// | secretmem_6_1              | the same                               | a user's, at a fault |
/// | secretmem_proposal         | 2 MiB for each file, or one by one     | a process's, at mmap() |
/// | secretmem_proposal_literal | the same, as its sketch can be read    | a process's, at mmap() |
/// | secretmem_reserved         | a pool of 2 MiB, promised at mmap()    | a process's, at mmap() |
/// | secretmem_grouped          | pageblocks that are absent as a whole  | a process's, at mmap() |
///
/// Sources: docs/linux-rules/secretmem.md; the patches of January 2021 and the thread about them.

#include <array>
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
#include <memsim/alloc/reclaim.hpp>
#include <memsim/arch/unmapped_pool.hpp>
#include <memsim/core/context.hpp>
#include <memsim/core/error.hpp>
#include <memsim/core/statistics.hpp>
#include <memsim/core/types.hpp>
#include <memsim/policy/page_pool.hpp>
#include <memsim/policy/reservation.hpp>
#include <memsim/vm/backing.hpp>

namespace memsim {

class address_space;
class direct_map;
class secretmem;

/// Where the pages of secret files come from. Chunks are of 2 MiB.
enum class secretmem_source : unsigned char {
  single_pages,              ///< one by one
  chunks,                    ///< of the file; none: none
  chunks_or_single,          ///< of the file, while there is memory for them
  literal_chunks_or_single,  ///< likewise, but of a chunk only the page is used that it was got for
  unmapped_pool,             ///< memsim/arch/unmapped_pool.hpp, one for all files
};

[[nodiscard]] std::string_view name_of(secretmem_source);
[[nodiscard]] std::string to_text(secretmem_source);

/// What RLIMIT_MEMLOCK limits.
enum class secretmem_limit : unsigned char {
  none,
  per_process_at_mmap,  ///< mappings, with all else that is locked: EAGAIN; not with CAP_IPC_LOCK
  per_user_at_fault,    ///< pages of files that the user made: SIGBUS; there is no exemption
  per_user_at_mmap,     ///< mappings of files that the user made: EAGAIN; not with CAP_IPC_LOCK
};
inline constexpr std::array all_secretmem_limits{
    secretmem_limit::none, secretmem_limit::per_process_at_mmap, secretmem_limit::per_user_at_fault,
    secretmem_limit::per_user_at_mmap};

[[nodiscard]] std::string_view name_of(secretmem_limit);
[[nodiscard]] std::string to_text(secretmem_limit);

/// What a fault comes to that finds no memory.
enum class secretmem_failure : unsigned char {
  out_of_memory,  ///< errc::no_memory (VM_FAULT_OOM): see fault_oom
  bus_error,      ///< errc::bus_error (SIGBUS)
};
inline constexpr std::array all_secretmem_failures{secretmem_failure::out_of_memory,
                                                   secretmem_failure::bus_error};

[[nodiscard]] std::string_view name_of(secretmem_failure);
[[nodiscard]] std::string to_text(secretmem_failure);

/// What the kernel makes of VM_FAULT_OOM. Whoever drives the processes does it: the access is made
/// again, after page_allocator::kill_for_fault() where it kills.
enum class fault_oom : unsigned char {
  kills,    ///< up to Linux 5.15: the OOM killer chooses somebody
  retries,  ///< from 5.16 on: nothing else
};
inline constexpr std::array all_fault_ooms{fault_oom::kills, fault_oom::retries};

[[nodiscard]] std::string_view name_of(fault_oom);
[[nodiscard]] std::string to_text(fault_oom);

/// How a page is undone that lost the race into its file.
enum class secretmem_undo : unsigned char {
  map_then_free,
  free_then_map,  ///< to late 2025: an absent page is free for a while
};

struct secretmem_config {
  std::string name = "custom";
  bool enabled = true;  ///< secretmem.enable=
  secretmem_source source = secretmem_source::single_pages;
  /// Pages are promised at mmap(), out of what secretmem::set_aside() made a pool of.
  bool reserves = false;
  secretmem_limit limit = secretmem_limit::per_process_at_mmap;
  secretmem_failure failure = secretmem_failure::out_of_memory;
  fault_oom oom = fault_oom::retries;
  /// Of single pages. Modelling assumption: where SIGBUS is wanted nobody is killed for one.
  gfp page_flags = gfp_highuser;
  /// Where chunks come from (secretmem=); none: from the page allocator.
  std::optional<std::size_t> cma_area{};
  bool needs_cma_area = false;  ///< without one there are no files: errc::no_memory
  /// Of chunks in the CMA area. v16 asked for 2 MiB in a way that came to none on x86-64.
  order chunk_alignment = pageblock_order;
  /// Modelling assumption: the proposal does not say.
  gfp chunk_flags = gfp_highuser | gfp_flag::comp | gfp_flag::nowarn | gfp_flag::noretry;
  /// A chunk is absent as a whole as long as its file has it; otherwise each of its pages is while
  /// it is used.
  bool unmaps_chunks = true;
  /// Of secretmem_source::unmapped_pool.
  unmapped_design grouping = unmapped_design::allocator_block;
  secretmem_undo undo = secretmem_undo::map_then_free;
};

extern const secretmem_config secretmem_v16;
extern const secretmem_config secretmem_5_14;
extern const secretmem_config secretmem_6_1;
extern const secretmem_config secretmem_proposal;
extern const secretmem_config secretmem_proposal_literal;
extern const secretmem_config secretmem_reserved;
extern const secretmem_config secretmem_grouped;

/// All of them.
[[nodiscard]] std::vector<secretmem_config> secretmem_presets();
/// \return nullptr: there is none of that name
[[nodiscard]] const secretmem_config* find_secretmem_preset(std::string_view name);

/// What became of those who asked.
struct secretmem_counts {
  std::uint64_t files = 0;
  std::uint64_t pages = 0;
  std::uint64_t chunks = 0;
  std::uint64_t unused_chunk_pages = 0;
  std::uint64_t fallback_pages = 0;
  std::uint64_t refused_at_mmap = 0;
  std::uint64_t over_limit_at_mmap = 0;
  std::uint64_t over_limit_at_fault = 0;
  std::uint64_t failed_faults = 0;
  std::uint64_t stuck_pages = 0;

  friend bool operator==(const secretmem_counts&, const secretmem_counts&) = default;
};

inline constexpr std::array secretmem_statistics{
    statistic<secretmem_counts>{"secretmem_files", "files", "open or mapped",
                                &secretmem_counts::files},
    statistic<secretmem_counts>{"secretmem_pages", "pages", "in files", &secretmem_counts::pages},
    statistic<secretmem_counts>{"secretmem_chunks", "chunks", "of 2 MiB, taken now",
                                &secretmem_counts::chunks},
    statistic<secretmem_counts>{"secretmem_unused_chunk_pages", "pages",
                                "of chunks, that no file uses: stranded",
                                &secretmem_counts::unused_chunk_pages},
    statistic<secretmem_counts>{"secretmem_fallback_pages", "pages",
                                "taken one by one because there was no chunk",
                                &secretmem_counts::fallback_pages},
    statistic<secretmem_counts>{"secretmem_refused_at_mmap", "calls",
                                "mmap() that could not be promised its pages: ENOMEM",
                                &secretmem_counts::refused_at_mmap},
    statistic<secretmem_counts>{"secretmem_over_limit_at_mmap", "calls",
                                "mmap() above RLIMIT_MEMLOCK: EAGAIN",
                                &secretmem_counts::over_limit_at_mmap},
    statistic<secretmem_counts>{"secretmem_over_limit_at_fault", "faults",
                                "above RLIMIT_MEMLOCK: SIGBUS",
                                &secretmem_counts::over_limit_at_fault},
    statistic<secretmem_counts>{"secretmem_failed_faults", "faults", "that found no memory",
                                &secretmem_counts::failed_faults},
    statistic<secretmem_counts>{"secretmem_stuck_pages", "pages",
                                "of no file any more, which cannot be mapped again for want of a "
                                "page table",
                                &secretmem_counts::stuck_pages},
};

namespace detail {

/// Pages that are absent from the direct map, and zeroed.
class secret_pages {
 public:
  virtual ~secret_pages() = default;
  [[nodiscard]] virtual std::expected<pfn, error> take(context& ctx) = 0;
  virtual void put(context& ctx, pfn page) = 0;
  /// Puts back a page that lost the race into its file.
  virtual void undo(context& ctx, pfn page) { put(ctx, page); }
  /// What is kept for more pages goes; all pages are back.
  virtual void end(context&) {}
  /// What is kept for more pages goes as far as nobody uses it.
  virtual void shrink(context&) {}
};

struct secret_machine;

/// Pages that are to go back to where they came from.
struct secret_block {
  enum origin : unsigned char { allocator, area, pool };

  pfn first{};
  frame_count frames = 1;
  origin from = allocator;
};

}  // namespace detail

/// A file of memfd_secret().
class secretmem_file final : public backing {
 public:
  secretmem_file(secretmem& of, std::uint32_t user);
  ~secretmem_file() override;

  /// ftruncate(): sets the size, once; it may be 0 before and after.
  /// \return errc::invalid if it has one
  std::expected<void, error> resize(frame_count pages);
  /// In pages.
  [[nodiscard]] frame_count size() const { return size_; }
  /// One more descriptor, as dup() and fork() make.
  void open() { ++descriptors_; }
  /// One less. Without descriptors and mappings the file ends, and its pages are free.
  /// \throws usage_error if there is none
  void close(context& ctx);
  /// The page that it has there.
  [[nodiscard]] std::optional<pfn> page_at(std::uint64_t index) const;
  [[nodiscard]] frame_count pages() const { return pages_.size(); }
  /// The user who made it.
  [[nodiscard]] std::uint32_t user() const { return user_; }
  /// The next new page finds that another was put into the file first, and is undone.
  void lose_next_race() { loses_race_ = true; }

  // backing
  [[nodiscard]] bool lends_pages() const override { return false; }
  std::expected<void, error> reserve(context& ctx, const mapped_area& of) override;
  std::expected<backing_page, error> fault(context& ctx, const fault_request& want) override;
  void unmap(context& ctx, const mapped_area& of) override;
  void unused(context& ctx) override;

 private:
  friend class secretmem;

  [[nodiscard]] std::expected<pfn, error> take(context& ctx, const fault_request& want);
  [[nodiscard]] std::expected<pfn, error> lose_race(context& ctx, const fault_request& want,
                                                    pfn page);
  void put(context& ctx, pfn page);
  void end(context& ctx);
  [[nodiscard]] detail::secret_pages& source();

  secretmem* of_;
  std::uint32_t user_;
  frame_count size_ = 0;
  std::uint64_t descriptors_ = 1;
  bool loses_race_ = false;
  std::map<std::uint64_t, pfn> pages_;
  std::unique_ptr<detail::secret_pages> own_;  // nullptr: of all files
  std::optional<reservation> promises_;
};

/// The secret files of a machine.
///
/// What is promised at mmap() stays promised until the file ends, as hugetlb does it; also pages
/// that are beyond the file's size, and mappings that are gone while the file is open.
class secretmem final : private page_source, private shrinker {
 public:
  /// \param vm, map  of one machine; outlive it
  /// \throws usage_error if there is no such CMA area, or one is needed and none named, or a pool
  ///         is to be of single pages
  secretmem(virtual_memory& vm, direct_map& map, secretmem_config how = secretmem_6_1);
  secretmem(const secretmem&) = delete;
  secretmem& operator=(const secretmem&) = delete;
  /// There are no files.
  ~secretmem() override;

  /// memfd_secret(): an empty file, with one descriptor.
  /// \return errc::unsupported if secretmem is not enabled (ENOSYS); errc::no_memory if it has no
  ///         CMA area and needs one
  std::expected<secretmem_file*, error> create(const address_space& creator);
  /// Makes the pool that `reserves` promises from as large as can be had, or as small as its use
  /// allows. Chunks go back that nothing of the pool is in.
  /// \return its pages then
  /// \throws usage_error if this secretmem does not reserve
  std::uint64_t set_aside(context& ctx, frame_count pages);

  /// While there are files the machine cannot hibernate.
  [[nodiscard]] bool may_hibernate() const { return files_.empty(); }
  [[nodiscard]] const std::list<std::unique_ptr<secretmem_file>>& files() const { return files_; }
  /// Pages that a limit per user counts: in files that the user made, or mapped of them.
  [[nodiscard]] frame_count charged(std::uint32_t user) const;
  /// Frames that are absent from the direct map on its account.
  [[nodiscard]] frame_count absent_pages() const;
  /// Pages that are set aside for secret memory, and in no file: of chunks and of the pool, and
  /// those that wait grouped.
  [[nodiscard]] frame_count stranded_pages() const;
  [[nodiscard]] const secretmem_counts& counts() const { return counts_; }
  /// Of the pool that is promised from.
  [[nodiscard]] const page_pool_counts& pool() const { return promised_.counts(); }
  [[nodiscard]] std::vector<statistic_value> statistics() const;
  [[nodiscard]] const secretmem_config& config() const { return how_; }
  [[nodiscard]] virtual_memory& vm() const { return *vm_; }

 private:
  friend class secretmem_file;

  // page_source: of the pool that is promised from
  std::expected<pfn, error> get(context& ctx) override { return shared_->take(ctx); }
  void put(context& ctx, pfn page) override { shared_->put(ctx, page); }
  [[nodiscard]] bool has_surplus() const override { return false; }

  // shrinker: of grouped pages that wait
  [[nodiscard]] std::uint64_t count() const override;
  std::uint64_t scan(context& ctx, std::uint64_t objects) override;

  void retry_stuck(context& ctx);
  [[nodiscard]] detail::secret_machine parts();
  [[nodiscard]] std::unique_ptr<detail::secret_pages> make_source();
  void forget(const secretmem_file& gone);

  virtual_memory* vm_;
  direct_map* map_;
  secretmem_config how_;
  secretmem_counts counts_;
  std::optional<unmapped_pool> grouped_;
  bool is_shrinking_ = false;
  std::vector<detail::secret_block> stuck_;
  std::unique_ptr<detail::secret_pages> shared_;  // nullptr: each file has its own
  page_pool promised_;
  std::map<std::uint32_t, frame_count> charged_;  // by user
  std::list<std::unique_ptr<secretmem_file>> files_;
};

}  // namespace memsim
