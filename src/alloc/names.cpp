// SPDX-License-Identifier: Apache-2.0
// The names of the allocator's small types, and its profiles by name.
#include <array>
#include <charconv>

#include <memsim/alloc/allocator_state.hpp>
#include <memsim/alloc/kernel_profile.hpp>
#include <memsim/alloc/migratetype.hpp>
#include <memsim/alloc/observer.hpp>

namespace memsim {

std::string_view name_of(migratetype type) {
  static constexpr std::array<std::string_view, migratetypes> names{
      "Unmovable", "Movable", "Reclaimable", "HighAtomic", "CMA", "Isolate"};
  return names[static_cast<unsigned>(type)];
}

std::string to_text(migratetype type) { return std::string{name_of(type)}; }

std::string to_text(const cma_area& area) {
  return fmt::format("CMA area [{}, {})", area.base, area.end());
}

std::string to_text(const fallback_event& e) {
  return fmt::format("zone {}: frame {} for order {} {}: found order {} {}, pageblock now {}",
                     e.zone, e.block, e.requested, e.wanted, e.found, e.found_type,
                     e.pageblock_type);
}

std::string to_text(const kernel_profile& profile) { return std::string{profile.name}; }

std::expected<kernel_profile, error> find_profile(std::string_view name) {
  for (const auto& profile : {linux_6_1, linux_6_12}) {
    if (profile.name == name) return profile;
  }
  return fail(errc::unsupported, "no kernel profile '{}': there are {} and {}", name, linux_6_1,
              linux_6_12);
}

std::expected<kernel_profile, error> profile_for_release(std::string_view release) {
  auto text = release;
  if (text.starts_with("linux-")) text.remove_prefix(6);
  unsigned major = 0;
  unsigned minor = 0;
  const auto* const end = text.data() + text.size();
  const auto dot = std::from_chars(text.data(), end, major);
  if (dot.ec == std::errc{} && dot.ptr != end && *dot.ptr == '.' &&
      std::from_chars(dot.ptr + 1, end, minor).ec == std::errc{}) {
    return major > 6 || (major == 6 && minor >= 10) ? linux_6_12 : linux_6_1;
  }
  return fail(errc::malformed, "'{}' is not a kernel release such as 6.12.117", release);
}

}  // namespace memsim
