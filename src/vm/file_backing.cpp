// SPDX-License-Identifier: Apache-2.0
#include <memsim/vm/file_backing.hpp>

#include <limits>

#include <memsim/vm/virtual_memory.hpp>

namespace memsim {

file_backing::file_backing(virtual_memory& vm, page_cache& files, std::uint64_t pages)
    : backing{vm}, files_{&files}, file_{files.add_file()}, size_{pages} {
  files.set_mapper(&vm);
}

std::expected<backing_page, error> file_backing::fault(context& ctx, const fault_request& want) {
  const auto index = want.index();
  if (index >= size_) return fail(errc::bus_error, "page {} of a file of {}", index, size_);
  const bool was_cached = files_->find(file_, index).has_value();
  const auto page = files_->read(ctx, file_, index);
  if (!page) return std::unexpected{page.error()};
  backing_page found{.what = backing_page::kept, .first = *page};
  if (!was_cached) {
    const auto content = contents_.find(index);
    found.filled = content == contents_.end() ? 0 : content->second;
  }
  return found;
}

std::expected<void, error> file_backing::make_writable(context&, const fault_request&, pfn page) {
  vm().memory().mark_dirty(page);
  return {};
}

void file_backing::written(std::uint64_t index, std::uint64_t content) {
  contents_[index] = content;
}

void file_backing::punch_hole(context& ctx, std::uint64_t first, frame_count count) {
  files_->punch_hole(ctx, file_, first, count);
  const auto end = count > std::numeric_limits<std::uint64_t>::max() - first
                       ? contents_.end()
                       : contents_.lower_bound(first + count);
  contents_.erase(contents_.lower_bound(first), end);
}

void file_backing::truncate(context& ctx, std::uint64_t size) {
  punch_hole(ctx, size, std::numeric_limits<std::uint64_t>::max() - size);
  size_ = size;
}

failure_outcome file_backing::memory_failure(context&, std::uint64_t index) {
  const auto page = files_->find(file_, index);
  if (!page) return failure_outcome::recovered;
  const bool is_dirty = vm().memory().page(*page).flags.has_any(page_flag::dirty);
  files_->abandon(file_, index);
  return is_dirty ? failure_outcome::lost : failure_outcome::recovered;
}

}  // namespace memsim
