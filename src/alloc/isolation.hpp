// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// A range of pageblocks withheld from allocation.

#include "alloc/allocator_core.hpp"

namespace memsim::detail {

/// The pageblocks that [first, last) touches, all of one zone.
class range_isolation {
 public:
  /// \param type  the type that the pageblocks get when they are released
  range_isolation(allocator_core& core, context& ctx, zone& z, frame_index first, frame_index last,
                  migratetype type);

  /// All of them, or none and false.
  [[nodiscard]] bool isolate();
  void release();

 private:
  [[nodiscard]] bool isolate_block(frame_index block, frame_index first, frame_index last);
  void release_block(frame_index block);
  [[nodiscard]] bool can_be_emptied(frame_index first, frame_index last) const;
  [[nodiscard]] bool is_free_of_references(frame_index frame) const;
  std::int64_t move_free(frame_index block, migratetype type);
  void retype(frame_index block, migratetype type);
  [[nodiscard]] bool split_at(frame_index boundary);

  allocator_core& core_;
  actor a_;
  frame_index first_;
  frame_index last_;
  frame_index start_;
  frame_index end_;
  migratetype type_;
};

}  // namespace memsim::detail
