// SPDX-License-Identifier: Apache-2.0
#include <memsim/vm/file_backing.hpp>

#include <limits>
#include <vector>

#include <memsim/vm/virtual_memory.hpp>

namespace memsim {

file_backing::file_backing(virtual_memory& vm, page_cache& files, std::uint64_t pages)
    : backing{vm}, files_{&files}, file_{files.add_file()}, size_{pages} {
  files.add_mapper(vm);
}

file_backing::~file_backing() { files_->remove_mapper(); }

std::expected<backing_page, error> file_backing::fault(context& ctx, const fault_request& want) {
  const auto index = want.index();
  if (index >= size_) return fail(errc::bus_error, "page {} of a file of {}", index, size_);
  if (lost_.contains(index)) return fail(errc::bus_error, "page {} of a file was lost", index);
  const auto page = files_->read(ctx, file_, index);
  if (!page) return std::unexpected{page.error()};
  backing_page found{.what = backing_page::kept, .first = *page};
  const auto& known = vm().pages()[*page];
  if (known.source != id() || known.number != index || known.is_private()) {
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
  const bool to_end = count > std::numeric_limits<std::uint64_t>::max() - first;
  const auto past = [&](auto& of) { return to_end ? of.end() : of.lower_bound(first + count); };
  std::vector<pfn> kept;
  for (auto at = contents_.lower_bound(first); at != past(contents_); ++at) {
    if (const auto page = files_->find(file_, at->first)) kept.push_back(*page);
  }
  contents_.erase(contents_.lower_bound(first), past(contents_));
  lost_.erase(lost_.lower_bound(first), past(lost_));
  for (const auto page : kept) vm().set_content(page, 0);
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
  if (!is_dirty) return failure_outcome::recovered;
  lost_.insert(index);
  contents_.erase(index);
  return failure_outcome::lost;
}

}  // namespace memsim
