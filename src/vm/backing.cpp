// SPDX-License-Identifier: Apache-2.0
// What a backing does unless it says otherwise.
#include <memsim/vm/backing.hpp>

#include <memsim/vm/virtual_memory.hpp>

namespace memsim {

backing::backing(virtual_memory& vm) : vm_{&vm} {
  vm.backings_.push_back(this);
  id_ = static_cast<std::uint32_t>(vm.backings_.size());
}

backing::~backing() { vm_->backings_[id_ - 1] = nullptr; }

std::expected<void, error> backing::reserve(context&, const mapped_area&) { return {}; }

std::expected<pfn, error> backing::allocate(context& ctx, const fault_request&, order size,
                                            gfp flags) {
  return vm_->memory().alloc(ctx, size, flags);
}

std::expected<void, error> backing::make_writable(context&, const fault_request&, pfn) {
  return {};
}

std::expected<pfn, error> backing::copy_on_write(context&, const fault_request& want, pfn) {
  throw_usage("page {}: a backing with pages of {} does not say how they are copied", want.page,
              granule());
}

void backing::written(std::uint64_t, std::uint64_t) {}

std::expected<void, error> backing::fork(context&, const mapped_area&, const mapped_area&) {
  return {};
}

void backing::unmapping(context&, const mapped_area&, vpn, pfn) {}

void backing::unmap(context&, const mapped_area&) {}

void backing::unused(context&) {}

void backing::release(context& ctx, const released_page& page) {
  if (page.is_private) vm_->memory().free(ctx, page.first, page.size);
}

void backing::punch_hole(context&, std::uint64_t, frame_count) {}

void backing::truncate(context&, std::uint64_t) {}

failure_outcome backing::memory_failure(context&, std::uint64_t) { return failure_outcome::lost; }

std::optional<std::uint64_t> backing::index_of(pfn) const { return std::nullopt; }

void backing::lost(context&, const released_page&) {}

std::expected<backing_page, error> anonymous_backing::fault(context&, const fault_request&) {
  return backing_page{};
}

}  // namespace memsim
