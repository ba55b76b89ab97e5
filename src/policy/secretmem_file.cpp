// SPDX-License-Identifier: Apache-2.0
// What a secret file does for those that map it.
#include <memsim/policy/secretmem.hpp>
#include <memsim/vm/virtual_memory.hpp>

namespace memsim {

secretmem_file::secretmem_file(secretmem& of, std::uint32_t user)
    : backing{of.vm()}, of_{&of}, user_{user} {
  if (of.shared_ == nullptr) own_ = of.make_source();
  if (of.how_.reserves) promises_.emplace(of.promised_, page_size::k4);
}

secretmem_file::~secretmem_file() = default;

std::expected<void, error> secretmem_file::resize(frame_count pages) {
  if (size_ != 0) return fail(errc::invalid, "a secret file of {} pages stays as large", size_);
  size_ = pages;
  return {};
}

void secretmem_file::close(context& ctx) {
  if (descriptors_ == 0) throw_usage("a secret file is closed that is not open");
  if (--descriptors_ == 0 && mappings().empty()) end(ctx);
}

std::optional<pfn> secretmem_file::page_at(std::uint64_t index) const {
  const auto found = pages_.find(index);
  return found == pages_.end() ? std::nullopt : std::optional{found->second};
}

std::expected<void, error> secretmem_file::reserve(context& ctx, const mapped_area& of) {
  auto& area = of.area;
  if (area.with != sharing::shared_pages) {
    return fail(errc::invalid, "secret memory is mapped shared only");
  }
  if (of_->how_.limit == secretmem_limit::per_process_at_mmap) {
    if (!of.process.may_lock(area.pages())) {
      ++of_->counts_.over_limit_at_mmap;
      return fail(errc::again, "{} pages: {} of {} are locked already", area.pages(),
                  of.process.locked_pages(), of.process.config().memlock_limit);
    }
    area.locked = true;
  }
  if (!promises_) return {};
  auto promised = promises_->reserve(ctx, of);
  if (!promised) ++of_->counts_.refused_at_mmap;
  return promised;
}

std::expected<pfn, error> secretmem_file::take(context& ctx, const fault_request& want) {
  if (promises_) return promises_->take(ctx, want.in.area, want.index());
  return source().take(ctx);
}

detail::secret_pages& secretmem_file::source() { return own_ ? *own_ : *of_->shared_; }

void secretmem_file::put(context& ctx, pfn page) {
  if (promises_) return promises_->put(ctx, page);
  source().put(ctx, page);
}

std::expected<backing_page, error> secretmem_file::fault(context& ctx, const fault_request& want) {
  const auto index = want.index();
  if (index >= size_) return fail(errc::bus_error, "page {} of a file of {}", index, size_);
  backing_page found{.what = backing_page::kept, .writable = true};
  if (const auto at = pages_.find(index); at != pages_.end()) {
    found.first = at->second;
    return found;
  }
  auto& counts = of_->counts_;
  const bool is_charged = of_->how_.limit == secretmem_limit::per_user_at_fault;
  const auto limit = want.in.process.config().memlock_limit;
  if (is_charged && of_->charged(user_) >= limit) {
    ++counts.over_limit_at_fault;
    return fail(errc::bus_error, "page {}: user {} has {} of {} pages", want.page, user_,
                of_->charged(user_), limit);
  }
  auto page = take(ctx, want);
  if (page && std::exchange(loses_race_, false)) {
    const auto winner = take(ctx, want);
    if (promises_) {
      promises_->undo(ctx, *page);
    } else {
      source().undo(ctx, *page);
    }
    page = winner;
  }
  if (!page) {
    ++counts.failed_faults;
    if (of_->how_.failure == secretmem_failure::out_of_memory) return std::unexpected{page.error()};
    return fail(errc::bus_error, "page {}: {}", want.page, page.error());
  }
  if (is_charged) ++of_->charged_[user_];
  ++counts.pages;
  pages_[index] = found.first = *page;
  found.filled = 0;
  return found;
}

void secretmem_file::unused(context& ctx) {
  if (descriptors_ == 0) end(ctx);
}

void secretmem_file::end(context& ctx) {
  for (const auto& [index, page] : pages_) {
    vm().forget(page);
    put(ctx, page);
  }
  if (promises_) promises_->truncate(ctx, 0, pages_.size());
  of_->counts_.pages -= pages_.size();
  if (of_->how_.limit == secretmem_limit::per_user_at_fault) of_->charged_[user_] -= pages_.size();
  if (own_) own_->end(ctx);
  of_->forget(*this);
}

}  // namespace memsim
