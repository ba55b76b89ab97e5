// SPDX-License-Identifier: Apache-2.0
#include <memsim/arch/tlb_flush.hpp>

#include <array>

#include <memsim/core/error.hpp>

namespace memsim {

tlb_flush tlb_flush::page(asid space, vpn page) {
  return {.pages = 1, .first = page, .space = space};
}

tlb_flush tlb_flush::range(asid space, vpn first, frame_count count, const range_flush_rule& rule) {
  constexpr frame_count end_of_space = frame_count{1} << vpn::bits;
  if (count < 1 || count > end_of_space - first.value()) {
    throw_usage("flush of {} pages from {}: allowed are 1 to {}", count, first,
                end_of_space - first.value());
  }
  const frame_count step = frames_of(rule.stride);
  const std::uint64_t flushes = (count + step - 1) / step;
  if (flushes > rule.ceiling) return {.full = rule.beyond, .space = space};
  return {.pages = flushes, .first = first, .stride = rule.stride, .space = space};
}

tlb_flush tlb_flush::address_space(asid space) {
  return {.full = full_flush::address_space, .space = space};
}

tlb_flush tlb_flush::all_but_global() { return {.full = full_flush::all_but_global}; }
tlb_flush tlb_flush::everything() { return {.full = full_flush::everything}; }

std::string to_text(full_flush how) {
  static constexpr std::array names{"address_space", "all_but_global", "everything"};
  return names[static_cast<unsigned>(how)];
}

std::string to_text(const tlb_flush& flush) {
  if (flush.pages != 0) {
    return fmt::format("{} pages from {} by {} in space {}", flush.pages, flush.first, flush.stride,
                       flush.space);
  }
  if (flush.full == full_flush::address_space) return fmt::format("space {}", flush.space);
  return to_text(flush.full);
}

}  // namespace memsim
