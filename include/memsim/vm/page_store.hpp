// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Where pages are while they are not in memory: a disk with files, or with swap on it.

#include <functional>

#include <memsim/alloc/page_owner.hpp>

namespace memsim {

/// Takes pages. Without one, writes are over at once, which suits a test without a clock.
class page_store {
 public:
  virtual ~page_store() = default;
  /// Begins to write a page.
  /// \param done  called once, when that is over, if `started` is returned
  virtual write_outcome write(std::move_only_function<void()> done) = 0;
};

}  // namespace memsim
