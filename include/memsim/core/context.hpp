// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Who is acting.
///
/// A kernel function knows its CPU and its task implicitly; here both are an argument. A call
/// never blocks: it does the work and adds it to the ledger of the context it was given.

#include <memsim/core/types.hpp>
#include <memsim/core/work.hpp>

namespace memsim {

/// A CPU at work, and what it has done.
///
///     context ctx{.cpu = cpu_id{2}};
///     auto block = allocator.alloc(ctx, order{0}, gfp_kernel);
///     fmt::print("{} splits\n", ctx.done.blocks_split);
struct context {
  cpu_id cpu{};
  work done{};
  /// Whether the OOM killer has chosen who acts. His request then fails rather than have somebody
  /// else killed.
  bool is_victim = false;
};

}  // namespace memsim
