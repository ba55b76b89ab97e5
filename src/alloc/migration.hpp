// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Batches of pages on their way to other frames.

#include <vector>

#include "alloc/allocator_core.hpp"

namespace memsim::detail {

/// Pages taken off for a move, the one taken first at the front. They are moved from the back.
using isolated_pages = std::vector<frame_index>;

/// Where pages are moved to.
class target_source {
 public:
  virtual ~target_source() = default;
  /// An allocated block of an order, or no_frame.
  [[nodiscard]] virtual frame_index take(unsigned order) = 0;
  /// A target that was not used.
  virtual void give_back(frame_index target) = 0;
};

/// What is left of a batch after one call.
struct batch_outcome {
  bool out_of_targets = false;
  bool all_moved = false;
};

/// One batch after another, by the profile's migration rule (contig A6, B3; compaction A8, B10).
class page_mover {
 public:
  page_mover(allocator_core& core, context& ctx, target_source& targets, migration_mode mode)
      : core_{core}, ctx_{ctx}, targets_{targets}, mode_{mode} {}

  /// Pages that moved leave the batch.
  batch_outcome move(isolated_pages& batch);

 private:
  batch_outcome move_one_by_one(isolated_pages& batch);
  batch_outcome move_batched(isolated_pages& batch);
  migration_result try_move(frame_index from, frame_index to);

  allocator_core& core_;
  context& ctx_;
  target_source& targets_;
  migration_mode mode_;
};

}  // namespace memsim::detail
