// SPDX-License-Identifier: Apache-2.0
#include <memsim/policy/subpool.hpp>

#include <algorithm>

namespace memsim {

std::optional<std::uint64_t> subpool::take(std::uint64_t pages) {
  if (limits_.most) {
    if (pages > *limits_.most || used_ > *limits_.most - pages) return std::nullopt;
    used_ += pages;
  }
  const auto covered = std::min(pages, promised_);
  promised_ -= covered;
  return pages - covered;
}

std::uint64_t subpool::give(std::uint64_t pages) {
  if (limits_.most) used_ -= pages;
  // Without `most` nothing counts as used.
  if (!limits_.least || used_ >= *limits_.least) return pages;
  const auto covered = std::min(pages, *limits_.least - promised_);
  promised_ += covered;
  return pages - covered;
}

bool subpool::is_unused() const {
  if (limits_.most) return used_ == 0;
  return !limits_.least || promised_ == *limits_.least;
}

}  // namespace memsim
