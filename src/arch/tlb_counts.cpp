// SPDX-License-Identifier: Apache-2.0
#include <memsim/arch/tlb_counts.hpp>

namespace memsim {

tlb_level_counts& tlb_level_counts::operator+=(const tlb_level_counts& other) {
  for (const auto& s : tlb_level_statistics) this->*s.member += other.*s.member;
  return *this;
}

tlb_walk_counts& tlb_walk_counts::operator+=(const tlb_walk_counts& other) {
  for (const auto& s : tlb_walk_statistics) this->*s.member += other.*s.member;
  return *this;
}

tlb_flush_counts& tlb_flush_counts::operator+=(const tlb_flush_counts& other) {
  for (const auto& s : tlb_flush_statistics) this->*s.member += other.*s.member;
  return *this;
}

tlb_counts& tlb_counts::operator+=(const tlb_counts& other) {
  for (unsigned i = 0; i < max_tlb_levels; ++i) levels[i] += other.levels[i];
  walks += other.walks;
  flushes += other.flushes;
  return *this;
}

}  // namespace memsim
