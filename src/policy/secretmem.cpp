// SPDX-License-Identifier: Apache-2.0
#include <memsim/policy/secretmem.hpp>

#include <algorithm>
#include <utility>

#include <memsim/arch/direct_map.hpp>
#include <memsim/vm/virtual_memory.hpp>

#include "policy/secret_pages.hpp"

namespace memsim {

namespace {

constexpr gfp kills_nobody = gfp_highuser | gfp_flag::retry_mayfail | gfp_flag::nowarn;

}  // namespace

std::string_view name_of(secretmem_source source) {
  switch (source) {
    case secretmem_source::single_pages: return "single_pages";
    case secretmem_source::chunks: return "chunks";
    case secretmem_source::chunks_or_single: return "chunks_or_single";
    case secretmem_source::literal_chunks_or_single: return "literal_chunks_or_single";
    case secretmem_source::unmapped_pool: return "unmapped_pool";
  }
  std::unreachable();
}

std::string to_text(secretmem_source source) { return std::string{name_of(source)}; }

std::string_view name_of(secretmem_limit limit) {
  switch (limit) {
    case secretmem_limit::none: return "none";
    case secretmem_limit::per_process_at_mmap: return "per_process_at_mmap";
    case secretmem_limit::per_user_at_fault: return "per_user_at_fault";
    case secretmem_limit::per_user_at_mmap: return "per_user_at_mmap";
  }
  std::unreachable();
}

std::string to_text(secretmem_limit limit) { return std::string{name_of(limit)}; }

std::string_view name_of(secretmem_failure failure) {
  return failure == secretmem_failure::out_of_memory ? "out_of_memory" : "bus_error";
}

std::string to_text(secretmem_failure failure) { return std::string{name_of(failure)}; }

std::string_view name_of(fault_oom oom) { return oom == fault_oom::kills ? "kills" : "retries"; }

std::string to_text(fault_oom oom) { return std::string{name_of(oom)}; }

const secretmem_config secretmem_v16{.name = "v16",
                                     .source = secretmem_source::chunks,
                                     .oom = fault_oom::kills,
                                     .cma_area = 0,
                                     .needs_cma_area = true,
                                     .chunk_alignment = order{0}};
const secretmem_config secretmem_5_14{
    .name = "5_14", .oom = fault_oom::kills, .undo = secretmem_undo::free_then_map};
const secretmem_config secretmem_6_1{.name = "6_1", .limit = secretmem_limit::per_user_at_fault};
const secretmem_config secretmem_proposal{.name = "proposal",
                                          .source = secretmem_source::chunks_or_single,
                                          .failure = secretmem_failure::bus_error,
                                          .page_flags = kills_nobody};
const secretmem_config secretmem_proposal_literal{
    .name = "proposal_literal",
    .source = secretmem_source::literal_chunks_or_single,
    .failure = secretmem_failure::bus_error,
    .page_flags = kills_nobody};
const secretmem_config secretmem_reserved{.name = "reserved",
                                          .source = secretmem_source::chunks,
                                          .reserves = true,
                                          .failure = secretmem_failure::bus_error};
const secretmem_config secretmem_grouped{.name = "grouped",
                                         .source = secretmem_source::unmapped_pool};

std::vector<secretmem_config> secretmem_presets() {
  return {secretmem_v16,
          secretmem_5_14,
          secretmem_6_1,
          secretmem_proposal,
          secretmem_proposal_literal,
          secretmem_reserved,
          secretmem_grouped};
}

const secretmem_config* find_secretmem_preset(std::string_view name) {
  static const auto presets = secretmem_presets();
  const auto found = std::ranges::find(presets, name, &secretmem_config::name);
  return found == presets.end() ? nullptr : &*found;
}

secretmem::secretmem(virtual_memory& vm, direct_map& map, secretmem_config how)
    : vm_{&vm}, map_{&map}, how_{std::move(how)}, promised_{*this} {
  const auto areas = vm.memory().cma_areas().size();
  if (how_.cma_area && *how_.cma_area >= areas && !how_.needs_cma_area) {
    throw_usage("CMA area {}: there are {}", *how_.cma_area, areas);
  }
  if (how_.needs_cma_area && !how_.cma_area) {
    throw_usage("'{}' needs a CMA area, and names none", how_.name);
  }
  if (how_.reserves && how_.source == secretmem_source::single_pages) {
    throw_usage("'{}' promises pages of a pool, and takes single pages", how_.name);
  }
  if (how_.source == secretmem_source::unmapped_pool) {
    grouped_.emplace(how_.grouping, vm.memory(), map);
    vm.memory().add_shrinker(*this);
  }
  if (grouped_ || how_.reserves) shared_ = make_source();
}

secretmem::~secretmem() {
  if (grouped_) vm_->memory().remove_shrinker(*this);
}

detail::secret_machine secretmem::parts() {
  return {*vm_, vm_->memory(), *map_, how_, counts_, grouped_ ? &*grouped_ : nullptr, stuck_};
}

std::unique_ptr<detail::secret_pages> secretmem::make_source() {
  const auto machine = parts();
  switch (how_.source) {
    case secretmem_source::single_pages: return std::make_unique<detail::single_pages>(machine);
    case secretmem_source::chunks:
    case secretmem_source::chunks_or_single:
    case secretmem_source::literal_chunks_or_single:
      return std::make_unique<detail::chunk_pages>(machine);
    case secretmem_source::unmapped_pool: return std::make_unique<detail::grouped_pages>(machine);
  }
  std::unreachable();
}

std::expected<secretmem_file*, error> secretmem::create(const address_space& creator) {
  if (!how_.enabled) return fail(errc::unsupported, "secret memory is not enabled");
  if (how_.needs_cma_area && *how_.cma_area >= vm_->memory().cma_areas().size()) {
    return fail(errc::no_memory, "secret memory has no CMA area");
  }
  ++counts_.files;
  return files_.emplace_back(std::make_unique<secretmem_file>(*this, creator.config().user)).get();
}

std::uint64_t secretmem::set_aside(context& ctx, frame_count pages) {
  if (!how_.reserves) throw_usage("{} pages to be set aside: '{}' has no pool", pages, how_.name);
  const auto made = promised_.resize(ctx, pages);
  shared_->shrink(ctx);
  retry_stuck(ctx);
  return made;
}

// Only the cache lets its pages wait until somebody else wants the memory.
std::uint64_t secretmem::count() const {
  return how_.grouping == unmapped_design::unmapped_cache ? grouped_->counts().pages_waiting : 0;
}

std::uint64_t secretmem::scan(context& ctx, std::uint64_t objects) {
  // To map a block again may take a page table, and so come back here.
  if (std::exchange(is_shrinking_, true)) return 0;
  const auto returned = grouped_->shrink(ctx, objects);
  is_shrinking_ = false;
  return returned;
}

void secretmem::retry_stuck(context& ctx) {
  if (stuck_.empty()) return;
  const auto before = std::exchange(stuck_, {});
  counts_.stuck_pages = 0;
  const auto machine = parts();
  for (const auto& block : before) detail::give_back_or_keep(machine, ctx, block);
}

frame_count secretmem::stranded_pages() const {
  return counts_.unused_chunk_pages + promised_.counts().free +
         (grouped_ ? grouped_->counts().pages_waiting : 0);
}

frame_count secretmem::charged(std::uint32_t user) const {
  const auto found = charged_.find(user);
  return found == charged_.end() ? 0 : found->second;
}

frame_count secretmem::absent_pages() const {
  auto absent = how_.reserves ? promised_.counts().total : counts_.pages;
  if (how_.unmaps_chunks) absent += counts_.unused_chunk_pages;
  const bool waits_absent = grouped_ && how_.grouping != unmapped_design::pageblock_type;
  if (waits_absent) absent += grouped_->counts().pages_waiting;
  return absent + counts_.stuck_pages;
}

std::vector<statistic_value> secretmem::statistics() const {
  auto values = values_of(counts_, secretmem_statistics);
  for (auto& value : promised_.statistics()) values.push_back(value);
  if (grouped_) {
    for (auto& value : values_of(grouped_->counts(), unmapped_statistics)) values.push_back(value);
  }
  return values;
}

void secretmem::forget(const secretmem_file& gone) {
  --counts_.files;
  std::erase_if(files_, [&](const auto& f) { return f.get() == &gone; });
}

}  // namespace memsim
