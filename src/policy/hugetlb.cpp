// SPDX-License-Identifier: Apache-2.0
// The pool of huge pages, and what is mounted of it.
#include <memsim/policy/hugetlb.hpp>

#include <algorithm>

#include <memsim/vm/virtual_memory.hpp>

namespace memsim {

const hugetlb_config& hugetlb_rules(const kernel_profile& profile) {
  return profile.name == linux_6_12.name ? hugetlb_6_12 : hugetlb_6_1;
}

hugetlb::hugetlb(virtual_memory& vm, hugetlb_config how)
    : vm_{&vm}, how_{std::move(how)}, pool_{*this} {
  if (how_.size == page_size::k4) throw_usage("hugetlb has pages of 2M or 1G, not of 4K");
  const auto areas = vm.memory().cma_areas().size();
  for (const auto area : how_.cma_areas) {
    if (area >= areas) throw_usage("CMA area {}: there are {}", area, areas);
  }
}

hugetlb::~hugetlb() = default;

std::expected<pfn, error> hugetlb::get(context& ctx) {
  auto& memory = vm_->memory();
  if (how_.size == page_size::m2) return memory.alloc(ctx, pageblock_order, how_.flags);
  const auto frames = frames_of(how_.size);
  for (const auto area : how_.cma_areas) {
    const auto page = memory.cma_alloc(ctx, area, frames, order_of(how_.size));
    if (!page) continue;
    from_cma_[*page] = area;
    return page;
  }
  return memory.alloc_contig_pages(ctx, frames, how_.flags);
}

void hugetlb::put(context& ctx, pfn page) {
  auto& memory = vm_->memory();
  if (how_.size == page_size::m2) return memory.free(ctx, page, pageblock_order);
  const auto frames = frames_of(how_.size);
  if (const auto found = from_cma_.find(page); found != from_cma_.end()) {
    memory.cma_release(ctx, found->second, page, frames);
    from_cma_.erase(found);
  } else {
    memory.free_contig_range(ctx, page, frames);
  }
}

std::expected<hugetlb_mount*, error> hugetlb::mount(context& ctx, const subpool_limits& limits) {
  if (limits.most && limits.least && *limits.least > *limits.most) {
    return fail(errc::invalid, "min_size of {} pages is above size of {}", *limits.least,
                *limits.most);
  }
  if (limits.least) {
    if (auto promised = pool_.reserve(ctx, *limits.least); !promised) {
      return std::unexpected{promised.error()};
    }
  }
  return mounts_.emplace_back(std::make_unique<hugetlb_mount>(*this, limits)).get();
}

std::expected<void, error> hugetlb::unmount(context& ctx, hugetlb_mount& which) {
  if (which.pool_ != this) throw_usage("the mount is of another pool");
  for (const auto& file : files_) {
    if (file->in_ == &which && (!file->mappings().empty() || file->pages_out_ > 0)) {
      return fail(errc::busy, "a file of the mount is in use");
    }
  }
  std::vector<hugetlb_file*> ends;
  for (const auto& file : files_) {
    if (file->in_ == &which) ends.push_back(file.get());
  }
  for (auto* const file : ends) file->end(ctx);
  which.limited_.in_use = false;
  end_promises(ctx, pool_, which.limited_);
  std::erase_if(mounts_, [&](const auto& m) { return m.get() == &which; });
  return {};
}

std::expected<vpn, error> hugetlb::map_anonymous(context& ctx, address_space& process,
                                                 frame_count pages, mapping_request how) {
  auto& file = *files_.emplace_back(std::make_unique<hugetlb_file>(*this, nullptr, pages));
  how.source = &file;
  how.offset = 0;
  auto mapped = process.mmap(ctx, pages, how);
  if (!mapped) forget(file);
  return mapped;
}

void hugetlb::forget(const hugetlb_file& gone) {
  std::erase_if(files_, [&](const auto& f) { return f.get() == &gone; });
}

std::expected<hugetlb_file*, error> hugetlb_mount::create(std::string name) {
  if (names_.contains(name)) return fail(errc::invalid, "there is a file '{}' already", name);
  auto& file = *pool_->files_.emplace_back(std::make_unique<hugetlb_file>(*pool_, this, 0));
  names_[std::move(name)] = &file;
  return &file;
}

hugetlb_file* hugetlb_mount::find(std::string_view name) const {
  const auto found = names_.find(name);
  return found == names_.end() ? nullptr : found->second;
}

std::expected<void, error> hugetlb_mount::unlink(context& ctx, std::string_view name) {
  const auto found = names_.find(name);
  if (found == names_.end()) return fail(errc::invalid, "there is no file '{}'", name);
  auto& file = *found->second;
  names_.erase(found);
  file.has_name_ = false;
  if (file.mappings().empty()) file.end(ctx);
  return {};
}

}  // namespace memsim
