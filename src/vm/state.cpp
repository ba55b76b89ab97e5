// SPDX-License-Identifier: Apache-2.0
// All that bears on what happens next to processes, as one number.
#include <memsim/vm/virtual_memory.hpp>

namespace memsim {

void address_space::add_to(digest& d) const {
  d.add(killed_).add(has_pinned_).add(uses_huge_zero_).add(charged_locked_).add(table_.tables());
  for (const auto& area : areas_) {
    d.add(area.first.value()).add(area.end.value()).add(static_cast<std::uint64_t>(area.allowed));
    d.add(static_cast<std::uint64_t>(area.advice)).add(static_cast<std::uint64_t>(area.with));
    d.add(area.locked).add(area.no_reserve).add(area.note).add(area.source->id()).add(area.offset);
    d.add(static_cast<std::uint64_t>(area.own)).add(area.chain.size());
    for (const auto id : area.chain) d.add(static_cast<std::uint64_t>(id));
    // A walk may remember where it ended; it changes nothing else.
    const_cast<address_space*>(this)->for_entries(
        area.first, area.end, [&](const page_entry& entry, page_size size, vpn page) {
          d.add(page.value()).add(static_cast<std::uint64_t>(size)).add(entry.bits());
          if (entry.is_page()) vm_->pages_.add_to(d, entry.frame(), frames_of(size));
        });
  }
}

void mapped_pages::add_to(digest& d, pfn first, frame_count count) const {
  for (frame_count i = 0; i < count; ++i) {
    const auto& p = (*this)[first + i];
    d.add(p.content).add(p.number).add(p.mappings).add(p.references).add(p.pins);
    d.add(static_cast<std::uint64_t>(p.owner)).add(p.source).add(p.exclusive);
    d.add(p.is_lazily_free);
  }
  const auto huge = (*this)[first].huge();
  if (huge == huge_page_id::none) return;
  const auto& whole = (*this)[huge];
  d.add(whole.first.value()).add(whole.pmd_mappings).add(whole.pte_mappings);
  d.add(whole.references).add(whole.pins).add(whole.queued).add(whole.double_map);
}

digest virtual_memory::state_digest() const {
  digest d;
  d.add(processes_.size());
  for (const auto& process : processes_) process->add_to(d);
  d.add(to_split_.size());
  for (const auto id : to_split_) d.add(pages_[id].first.value());
  d.add(huge_zero_ ? huge_zero_->value() : 0).add(huge_zero_users_).add(corrupted_);
  for (const auto& value : statistics()) d.add(value.value);
  return d;
}

}  // namespace memsim
