// SPDX-License-Identifier: Apache-2.0
#include <memsim/policy/subpool.hpp>

#include <algorithm>

#include <memsim/core/error.hpp>

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

subpool::subpool(const subpool_limits& limits)
    : limits_{limits}, promised_{limits.least.value_or(0)} {
  if (limits.most && limits.least && *limits.least > *limits.most) {
    throw_usage("at least {} pages and at most {}", *limits.least, *limits.most);
  }
}

std::uint64_t subpool::give(std::uint64_t pages) {
  if (limits_.most && pages > used_) throw_usage("{} pages given back of {}", pages, used_);
  if (limits_.most) used_ -= pages;
  // Without `most` nothing counts as used.
  if (!limits_.least || used_ >= *limits_.least) return pages;
  const auto covered = std::min(pages, *limits_.least - promised_);
  promised_ += covered;
  return pages - covered;
}

void subpool::lose_promise() {
  if (promised_ == 0) throw_usage("a promise is lost of none");
  --promised_;
  --*limits_.least;
}

bool subpool::is_unused() const {
  if (limits_.most) return used_ == 0;
  return !limits_.least || promised_ == *limits_.least;
}

}  // namespace memsim
