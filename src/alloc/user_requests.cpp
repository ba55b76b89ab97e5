// SPDX-License-Identifier: Apache-2.0
// Requests and frees as they are counted and told of, whoever makes them.
#include "alloc/allocator_core.hpp"

namespace memsim::detail {

frame_index allocator_core::allocate_block(context& ctx, order size, gfp flags) {
  const auto frame = allocate(ctx, make_request(size, flags));
  end_request(ctx, size, flags, frame != no_frame ? std::optional{pfn{frame}} : std::nullopt);
  return frame;
}

void allocator_core::end_request(context& ctx, order size, gfp flags, std::optional<pfn> found) {
  const unsigned o = size.value();
  if (found) {
    const auto frame = static_cast<frame_index>(found->value());
    frames_.set_allocated(frame, o);
    if (o > 0 && flags.has_any(gfp_flag::comp)) frames_.mark(frame, o) = frame_mark::compound(o);
    ++counts_.allocations[o];
    if (flags.has_any(gfp_flag::zero)) ctx.done.pages_zeroed += size.frames();
  } else {
    ++counts_.failed_allocations;
  }
  const allocation_event event{ctx.cpu, size, flags, found};
  for (auto* observer : observers_) observer->on_allocation(event);
}

void allocator_core::free_block(context& ctx, frame_index frame, unsigned o) {
  ++counts_.frees[o];
  free(ctx, frame, o);
  const free_event event{ctx.cpu, pfn{frame}, order{o}};
  for (auto* observer : observers_) observer->on_free(event);
}

}  // namespace memsim::detail
