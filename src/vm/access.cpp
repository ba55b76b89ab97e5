// SPDX-License-Identifier: Apache-2.0
// Accesses through the TLB of a CPU, and flushes of what an address space has in TLBs.
#include <array>

#include <memsim/vm/access_result.hpp>
#include <memsim/vm/user_tlbs.hpp>
#include <memsim/vm/virtual_memory.hpp>

namespace memsim {
namespace {

bool allows(page_entry entry, memory_access how) {
  return entry.is_present() && (how == memory_access::read || entry.has(page_entry::writable));
}

bool allows(const table_walk& at, memory_access how) {
  return at.entry != nullptr && allows(*at.entry, how);
}

// A write marks its entry as dirty; where the TLB does not know that this was done, the CPU walks
// again to do it.
bool needs_no_walk(page_entry cached, memory_access how) {
  return how == memory_access::read || cached.has(page_entry::writable | page_entry::dirty);
}

}  // namespace

// On x86 a write through a cached entry that is read-only faults, whatever the page table says by
// now. The fault drops the entry; the kernel looks at the page table, changes it if it must, and
// the access is repeated. So at most two rounds.
std::expected<access_result, error> address_space::access(context& ctx, vpn page,
                                                          memory_access how) {
  check_range(page, 1);
  if (tlbs_ == nullptr) return access_uncached(ctx, page, how);
  access_result result;
  tlbs_->load(ctx, id_);
  for (;;) {
    if (!tlbs_->holds(ctx.cpu, id_, page)) {
      const bool was_allowed = allows(table_.walk(page), how);
      const auto at = fault(ctx, page, purpose_of(how), cause::access);
      if (!at) return std::unexpected{at.error()};
      if (!was_allowed) result.fault = fault_kind::minor;
    }
    const auto served = tlbs_->translate(ctx.cpu, id_, page, table_, how);
    if (needs_no_walk(served.entry, how)) {
      result.found = served.found;
      result.frame = served.frame_of(page);
      break;
    }
    if (!allows(served.entry, how)) result.fault = fault_kind::spurious;
    tlbs_->drop(ctx.cpu, id_, page);
  }
  tlbs_->count_access();
  if (result.fault == fault_kind::minor) tlbs_->count_minor_fault();
  if (result.fault == fault_kind::spurious) {
    tlbs_->count_spurious_fault();
    ++ctx.done.page_faults;
  }
  return result;
}

std::expected<access_result, error> address_space::access_uncached(context& ctx, vpn page,
                                                                   memory_access how) {
  const bool was_allowed = allows(table_.walk(page), how);
  const auto at = fault(ctx, page, purpose_of(how), cause::access);
  if (!at) return std::unexpected{at.error()};
  at->entry->set(page_entry::accessed);
  if (how == memory_access::write) at->entry->set(page_entry::dirty);
  return access_result{.found = {.size = at->size},
                       .fault = was_allowed ? fault_kind::none : fault_kind::minor,
                       .frame = translate(page)};
}

// The contents of the frame that the TLB leads to, right or wrong.
std::expected<std::uint64_t, error> address_space::read_cached(context& ctx, vpn page) {
  const auto done = access(ctx, page, memory_access::read);
  if (!done) return std::unexpected{done.error()};
  return done->frame ? vm_->content(*done->frame) : 0;
}

std::expected<void, error> address_space::write_cached(context& ctx, vpn page,
                                                       std::uint64_t content) {
  const auto done = access(ctx, page, memory_access::write);
  if (!done) return std::unexpected{done.error()};
  set_content(page, *done->frame, content);
  return {};
}

// The kernel frees pages after the flush; here nothing can come between the two, and a caller may
// flush when all is done.
void address_space::flush(context& ctx, const stale_range& stale) {
  if (tlbs_ != nullptr) tlbs_->flush(ctx, id_, stale);
}

void address_space::flush_all(context& ctx) {
  if (tlbs_ != nullptr) tlbs_->flush_all(ctx, id_);
}

void address_space::flush_moved(vpn page, page_size size) {
  if (tlbs_ != nullptr) tlbs_->flush_moved(id_, stale_range::of(page, frames_of(size), size));
}

void address_space::leave_tlbs() {
  if (tlbs_ != nullptr) std::exchange(tlbs_, nullptr)->remove_space(id_);
}

std::string_view name_of(fault_kind kind) {
  static constexpr std::array<std::string_view, 3> names{"none", "spurious", "minor"};
  return names[static_cast<std::size_t>(kind)];
}

std::string to_text(fault_kind kind) { return std::string{name_of(kind)}; }

std::string to_text(const access_result& result) {
  const auto where = result.frame ? fmt::format("frame {}", *result.frame) : std::string{"zeroes"};
  if (result.fault == fault_kind::none) return fmt::format("{}, {}", where, to_text(result.found));
  return fmt::format("{}, {}, {} fault", where, to_text(result.found), name_of(result.fault));
}

}  // namespace memsim
