// SPDX-License-Identifier: Apache-2.0
#include <memsim/core/types.hpp>

#include <array>

#include <memsim/core/error.hpp>

namespace memsim {

void order::detail_refuse(unsigned value) {
  throw_usage("order {} is out of range: an order is at most 63", value);
}

std::string to_text(pfn p) { return fmt::to_string(p.value()); }
std::string to_text(order o) { return fmt::to_string(o.value()); }
std::string to_text(cpu_id c) { return fmt::to_string(c.value()); }

std::string to_text(page_size size) {
  static constexpr std::array names{"4K", "2M", "1G"};
  return names[static_cast<unsigned>(size)];
}

void validate(page_size size, std::string_view field) {
  if (size <= page_size::g1) return;
  throw_usage("{} {}: allowed are the page sizes 4K, 2M and 1G", field,
              static_cast<unsigned>(size));
}

std::string to_text(bytes size) {
  struct unit {
    std::uint64_t factor;
    const char* name;
  };
  static constexpr std::array units{unit{1ULL << 40, "TiB"}, unit{1ULL << 30, "GiB"},
                                    unit{1ULL << 20, "MiB"}, unit{1ULL << 10, "KiB"}};
  for (const auto& [factor, name] : units) {
    if (size.value() >= factor && size.value() % factor == 0) {
      return fmt::format("{} {}", size.value() / factor, name);
    }
  }
  return fmt::format("{} B", size.value());
}

}  // namespace memsim
