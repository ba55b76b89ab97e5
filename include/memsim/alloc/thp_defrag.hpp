// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// What a page fault may do for a huge page: /sys/kernel/mm/transparent_hugepage/defrag.

#include <string>
#include <string_view>

#include <memsim/alloc/gfp.hpp>

namespace memsim {

enum class thp_defrag : unsigned char {
  always,         ///< reclaims and compacts at once
  defer,          ///< wakes the daemons and takes small pages
  defer_madvise,  ///< as `always` where madvise(MADV_HUGEPAGE) asked for it, else as `defer`
  madvise,        ///< as `always` where madvise(MADV_HUGEPAGE) asked for it, else as `never`
  never,          ///< takes a huge page if one is free
};

inline constexpr unsigned thp_defrag_settings = 5;

/// Whether the memory was marked with madvise(MADV_HUGEPAGE).
enum class huge_advice : bool { none, madvised };

/// `always`, `defer`, `defer+madvise`, `madvise`, `never`.
[[nodiscard]] std::string_view name_of(thp_defrag);
[[nodiscard]] std::string to_text(thp_defrag);

/// The flags of the request for a huge page.
///
///     const auto page = memory.alloc(ctx, pageblock_order,
///                                    huge_fault_flags(thp_defrag::madvise, huge_advice::none));
///
/// Source: well-known behaviour of Linux since 4.11 (Documentation/admin-guide/mm/transhuge); the
/// default is madvise.
[[nodiscard]] gfp huge_fault_flags(thp_defrag setting, huge_advice advice);

}  // namespace memsim
