// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Moving the contents of a page to another frame.

#include <string>
#include <string_view>

#include <memsim/core/types.hpp>

namespace memsim {

/// How much of the caller's time a migration may take.
enum class migration_mode : unsigned char {
  async,       ///< does not wait for anything
  sync_light,  ///< waits for most things, but not for writeback
  sync,        ///< waits
};

/// What came of an attempt to move a page.
enum class migration_result : unsigned char {
  moved,
  pinned,     ///< somebody holds a reference that migration does not know of
  writeback,  ///< it is being written to a device
  refused,    ///< its owner would not let it go
  orphaned,   ///< its owner is not attached to this allocator (a copy's owners must be)
};

[[nodiscard]] std::string_view name_of(migration_result);
[[nodiscard]] std::string to_text(migration_result);

/// An attempt to move a page: the tracepoint that a recording shows as `m` or `n`.
struct migration_event {
  pfn from{};
  pfn to{};
  migration_result result{};
};

}  // namespace memsim
