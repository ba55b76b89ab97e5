// SPDX-License-Identifier: Apache-2.0
#include <memsim/vm/mapped_pages.hpp>

#include <algorithm>
#include <array>

namespace memsim {
namespace {

/// What a pin adds to the references of a single page.
constexpr std::uint64_t pin_bias = 1024;

}  // namespace

std::string_view name_of(protection allowed) {
  static constexpr std::array<std::string_view, 3> names{"none", "read", "read and write"};
  return names[static_cast<unsigned>(allowed)];
}

std::string to_text(protection allowed) { return std::string{name_of(allowed)}; }

std::string_view name_of(thp_advice advice) {
  static constexpr std::array<std::string_view, 3> names{"none", "huge", "no huge"};
  return names[static_cast<unsigned>(advice)];
}

std::string to_text(thp_advice advice) { return std::string{name_of(advice)}; }

std::string_view name_of(sharing with) {
  return with == sharing::private_copies ? "private" : "shared";
}

std::string to_text(sharing with) { return std::string{name_of(with)}; }

huge_page_id mapped_pages::add_huge(pfn first) {
  if (unused_.empty()) {
    huge_.emplace_back();
    unused_.push_back(huge_page_id{static_cast<std::uint32_t>(huge_.size())});
  }
  const auto id = unused_.back();
  unused_.pop_back();
  (*this)[id] = {.first = first};
  const mapped_page part{.huge_number = static_cast<std::uint32_t>(id)};
  for (frame_count i = 0; i < pageblock_frames; ++i) (*this)[first + i] = part;
  return id;
}

void mapped_pages::remove_huge(huge_page_id id) {
  const auto first = (*this)[id].first;
  for (frame_count i = 0; i < pageblock_frames; ++i) (*this)[first + i].huge_number = 0;
  unused_.push_back(id);
}

pfn mapped_pages::head_of(pfn page) const {
  const auto& p = (*this)[page];
  if (p.is_part) return pfn{p.number};
  return p.huge() == huge_page_id::none ? page : (*this)[p.huge()].first;
}

mapped_page& mapped_pages::add_large(pfn first, page_size size) {
  const mapped_page part{.number = first.value(), .is_part = true};
  for (frame_count i = 1; i < frames_of(size); ++i) (*this)[first + i] = part;
  auto& head = (*this)[first];
  head = {.size_number = static_cast<std::uint32_t>(size)};
  return head;
}

std::uint32_t mapped_pages::mapcount(pfn page) const {
  const auto& p = unit_of(page);
  return p.mappings + (p.huge() == huge_page_id::none ? 0 : (*this)[p.huge()].pmd_mappings);
}

std::uint64_t mapped_pages::total_mapcount(pfn page) const {
  const auto& p = (*this)[page];
  if (p.huge() == huge_page_id::none) return mapcount(page);
  const auto& whole = (*this)[p.huge()];
  return std::uint64_t{whole.pmd_mappings} + whole.pte_mappings;
}

std::uint32_t mapped_pages::highest_mapcount(pfn page) const {
  const auto& p = (*this)[page];
  if (p.huge() == huge_page_id::none) return mapcount(page);
  const auto& whole = (*this)[p.huge()];
  std::uint32_t highest = 0;
  for (frame_count i = 0; i < pageblock_frames && whole.pte_mappings > 0; ++i) {
    highest = std::max(highest, (*this)[whole.first + i].mappings);
  }
  return highest + whole.pmd_mappings;
}

std::uint32_t mapped_pages::raw_mapcount(pfn page) const {
  const auto& p = (*this)[page];
  return p.mappings + (p.huge() != huge_page_id::none && (*this)[p.huge()].double_map);
}

bool mapped_pages::looks_shared(pfn page) const {
  const auto total = total_mapcount(page);
  const auto huge = (*this)[page].huge();
  if (huge == huge_page_id::none || total <= 1) return total > 1;
  const auto& whole = (*this)[huge];
  return whole.pmd_mappings > 0 || total > pageblock_frames || (*this)[whole.first].mappings > 1;
}

std::uint64_t mapped_pages::count(pfn page) const {
  const auto& p = unit_of(page);
  if (p.huge() != huge_page_id::none) return (*this)[p.huge()].count();
  return std::uint64_t{p.mappings} + p.references + p.pins;
}

bool mapped_pages::may_be_pinned(pfn page) const {
  const auto& p = unit_of(page);
  if (p.huge() != huge_page_id::none) return (*this)[p.huge()].pins > 0;
  return p.mappings + p.references + p.pins * pin_bias >= pin_bias;
}

bool mapped_pages::is_held(pfn page) const {
  const auto& p = unit_of(page);
  if (p.huge() == huge_page_id::none) return p.references + p.pins > 0;
  return (*this)[p.huge()].references + (*this)[p.huge()].pins > 0;
}

}  // namespace memsim
