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
  const bool is_charged = of_->how_.limit == secretmem_limit::per_user_at_mmap;
  if (is_charged) {
    const auto& who = of.process.config();
    const auto charged = of_->charged(user_);
    if (!who.ipc_lock &&
        (area.pages() > who.memlock_limit || charged > who.memlock_limit - area.pages())) {
      ++of_->counts_.over_limit_at_mmap;
      return fail(errc::again, "{} pages: {} of {} are mapped by the user already", area.pages(),
                  charged, who.memlock_limit);
    }
  }
  if (promises_) {
    if (auto promised = promises_->reserve(ctx, of); !promised) {
      ++of_->counts_.refused_at_mmap;
      return promised;
    }
  }
  if (is_charged) {
    of_->charged_[user_] += area.pages();
    area.locked = true;
  }
  return {};
}

// What a fork made is not locked, and nobody is charged for it.
void secretmem_file::unmap(context&, const mapped_area& of) {
  if (of_->how_.limit != secretmem_limit::per_user_at_mmap || !of.area.locked) return;
  of_->charged_[user_] -= of.area.pages();
}

std::expected<pfn, error> secretmem_file::take(context& ctx, const fault_request& want) {
  if (promises_) return promises_->take(ctx, want.in.area, want.index());
  return source().take(ctx);
}

detail::secret_pages& secretmem_file::source() { return own_ ? *own_ : *of_->shared_; }

void secretmem_file::put(context& ctx, pfn page) {
  if (!promises_) return source().put(ctx, page);
  // Somebody else has it next.
  ++ctx.done.pages_zeroed;
  promises_->put(ctx, page);
}

// Modelling assumption: of what was promised the loser gives back his page before the winner takes
// one, as there may be no more of them.
std::expected<pfn, error> secretmem_file::lose_race(context& ctx, const fault_request& want,
                                                    pfn page) {
  if (promises_) {
    promises_->undo(ctx, page);
    return take(ctx, want);
  }
  const auto winner = take(ctx, want);
  source().undo(ctx, page);
  return winner;
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
  if (page && std::exchange(loses_race_, false)) page = lose_race(ctx, want, *page);
  if (!page) {
    ++counts.failed_faults;
    return fail(
        of_->how_.failure == secretmem_failure::out_of_memory ? errc::no_memory : errc::bus_error,
        "page {}: {}", want.page, page.error());
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
  of_->retry_stuck(ctx);
  of_->forget(*this);
}

}  // namespace memsim
