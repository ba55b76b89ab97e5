// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// A pool of pages of one size that may be reserved before they are used.
///
///     page_pool pool{pages, {.overcommit = 4}};   // `pages`: where the pool's pages come from
///     pool.resize(ctx, 16);
///     if (pool.reserve(ctx, 8)) ...               // eight pages are promised to somebody
///     auto page = pool.take(ctx, {.entitled = true});
///     pool.put(ctx, *page, after_use::available);
///
/// What is reserved is counted, not set aside: a page that is taken without being entitled to it
/// has to be one of those that are free and promised to nobody. Pages beyond the pool's own size
/// are surplus, as far as `overcommit` allows; they go back to where they came from.
///
/// Source: docs/linux-rules/hugetlb.md.

#include <array>
#include <cstdint>
#include <expected>
#include <vector>

#include <memsim/core/context.hpp>
#include <memsim/core/error.hpp>
#include <memsim/core/statistics.hpp>
#include <memsim/core/types.hpp>

namespace memsim {

/// Where the pages of a pool come from, and go to.
class page_source {
 public:
  virtual ~page_source() = default;

  /// \return errc::no_memory, errc::busy
  [[nodiscard]] virtual std::expected<pfn, error> get(context& ctx) = 0;
  virtual void put(context& ctx, pfn page) = 0;
  /// Whether pages may be taken for a while, when there is need for them.
  [[nodiscard]] virtual bool has_surplus() const { return true; }
};

/// Counters of a pool, in pages of its size, as /sys/kernel/mm/hugepages has them.
struct page_pool_counts {
  std::uint64_t total = 0;       ///< nr_hugepages
  std::uint64_t free = 0;        ///< free_hugepages
  std::uint64_t reserved = 0;    ///< resv_hugepages; modulo 2^64, as the kernel counts it
  std::uint64_t surplus = 0;     ///< surplus_hugepages
  std::uint64_t overcommit = 0;  ///< nr_overcommit_hugepages

  friend bool operator==(const page_pool_counts&, const page_pool_counts&) = default;
};

inline constexpr std::array page_pool_statistics{
    statistic<page_pool_counts>{"pool_pages", "pages", "pages of the pool, surplus ones included",
                                &page_pool_counts::total},
    statistic<page_pool_counts>{"pool_free", "pages", "of those, pages that nobody uses",
                                &page_pool_counts::free},
    statistic<page_pool_counts>{"pool_reserved", "pages", "pages promised and not yet used",
                                &page_pool_counts::reserved},
    statistic<page_pool_counts>{"pool_surplus", "pages", "pages above the size of the pool",
                                &page_pool_counts::surplus},
    statistic<page_pool_counts>{"pool_overcommit", "pages", "how many surplus pages there may be",
                                &page_pool_counts::overcommit},
};

struct page_pool_config {
  std::uint64_t overcommit = 0;
};

/// What a page is after its use.
enum class after_use : bool {
  available,  ///< anybody's
  reserved,   ///< promised again
};

/// Who takes a page.
struct page_claim {
  bool entitled = false;        ///< one has been reserved for it
  bool spares_reserve = false;  ///< of a surplus page the reservation stays as it is
};

class page_pool {
 public:
  /// \param source  must outlive the pool
  explicit page_pool(page_source& source, const page_pool_config& how = {});
  page_pool(const page_pool&) = delete;
  page_pool& operator=(const page_pool&) = delete;

  /// Promises pages; where there are too few free ones, surplus pages are made for it.
  /// \return errc::no_memory, and then nothing is promised or made. As in the kernel free surplus
  ///         pages go all the same where the count of promises was below zero
  [[nodiscard]] std::expected<void, error> reserve(context& ctx, std::uint64_t pages);
  /// Takes promises back, and frees surplus pages that were made for them.
  void unreserve(context& ctx, std::uint64_t pages);
  /// A page to be used.
  /// \return errc::no_space
  [[nodiscard]] std::expected<pfn, error> take(context& ctx, const page_claim& who);
  /// A page is not used any more. While there are surplus pages it leaves the pool.
  /// \throws usage_error if none is in use
  void put(context& ctx, pfn page, after_use use);
  /// A page that is in use is lost, and with it one of the pool.
  /// \throws usage_error if none is in use
  void lose();
  /// Promises one of the pages that are free, if one of them is not promised.
  /// \return whether there was one
  [[nodiscard]] bool promise();

  /// Makes the pool as large as can be had, or as small as what is used and promised allows; pages
  /// above the size become surplus, whatever `overcommit` says.
  /// \return its size without surplus pages, then
  std::uint64_t resize(context& ctx, std::uint64_t pages);
  /// \return errc::invalid if the pages cannot be surplus
  std::expected<void, error> set_overcommit(std::uint64_t pages);

  [[nodiscard]] const page_pool_counts& counts() const { return counts_; }
  [[nodiscard]] std::vector<statistic_value> statistics() const {
    return values_of(counts_, page_pool_statistics);
  }

 private:
  [[nodiscard]] bool has_unpromised() const { return counts_.free != counts_.reserved; }
  [[nodiscard]] bool may_make_surplus() const {
    return source_->has_surplus() && counts_.surplus < counts_.overcommit;
  }
  std::expected<void, error> add(context& ctx);
  void destroy_free(context& ctx);

  page_source* source_;
  page_pool_counts counts_;
  std::vector<pfn> free_;  // the last is taken first
};

}  // namespace memsim
