// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Translations that one operation made wrong, to be flushed together when it is over.

#include <algorithm>

#include <memsim/arch/virtual_page.hpp>
#include <memsim/core/types.hpp>

namespace memsim {

/// The pages from the first to the last entry that was changed, and the size of the smallest.
///
///     stale_range stale;
///     stale.add(vpn{512}, page_size::m2);
///     stale.add(vpn{1024}, page_size::m2);   // two pages, by 2M
///
/// Pages in between that nothing mapped are flushed too. Source: rules F2 and F3.
struct stale_range {
  vpn first{};
  vpn end{};  ///< with `first`, or below: nothing
  page_size stride = page_size::k4;

  [[nodiscard]] static constexpr stale_range of(vpn first, frame_count pages, page_size stride) {
    return {.first = first, .end = first + pages, .stride = stride};
  }

  [[nodiscard]] constexpr bool empty() const { return first >= end; }
  [[nodiscard]] constexpr frame_count pages() const { return end.value() - first.value(); }

  /// Adds the page of an entry.
  constexpr void add(vpn page, page_size size) {
    const auto begin = page.base(size);
    if (empty()) {
      *this = of(begin, frames_of(size), size);
      return;
    }
    first = std::min(first, begin);
    end = std::max(end, begin + frames_of(size));
    stride = std::min(stride, size);
  }
};

}  // namespace memsim
