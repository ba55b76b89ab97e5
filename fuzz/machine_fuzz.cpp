// SPDX-License-Identifier: Apache-2.0
// Files that describe a machine or its prices, of any bytes: the first byte says which kinds, zero
// bytes divide them. What can be read and is small is laid out and taken over.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include <memsim/workload/cost_file.hpp>
#include <memsim/workload/machine.hpp>
#include <memsim/workload/synthesis.hpp>

namespace {

using namespace memsim;

void require(bool holds) {
  if (!holds) std::abort();
}

template <class Result>
bool usable(const Result& result) {
  if (!result) require(!result.error().message().empty() && result.error().message().size() < 2000);
  return result.has_value();
}

// Cuts the text at its first zero byte.
std::string_view take_file(std::string_view& text) {
  const auto end = text.find('\0');
  const auto file = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  return file;
}

void try_captured(std::string_view text) {
  auto machine = parse_zoneinfo(take_file(text), "zoneinfo");
  if (!usable(machine)) return;
  const auto zones_before = machine->zones.size();
  (void)usable(add_buddyinfo(*machine, take_file(text), "buddyinfo"));
  (void)usable(add_pagetypeinfo(*machine, take_file(text), "pagetypeinfo"));
  require(machine->zones.size() == zones_before);

  // Frames in use are looked at one by one: keep to what takes a moment.
  constexpr frame_count most_frames = (1_GiB).frames();
  frame_count frames = 0;
  for (const auto& z : machine->zones) frames += z.extent.spanned;
  constexpr unsigned most_cpus = 16;
  if (frames > most_frames || machine->cpus() > most_cpus) return;
  for (const auto& profile : {linux_6_1, linux_6_12}) {
    const auto state = synthesise(*machine, profile, 1);
    if (usable(state)) (void)usable(page_allocator::restore(*state, profile));
  }
}

void try_machine_file(std::string_view text) {
  const auto config = parse_machine(text, "machine.toml");
  if (!usable(config)) return;
  constexpr unsigned most_cpus = 16;
  if (config->memory.end() > pfn{(16_GiB).frames()} || config->cpus > most_cpus) return;
  (void)usable(make_machine(*config));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view text{reinterpret_cast<const char*>(data) + 1, size - 1};
  if (data[0] == 't') {
    try_machine_file(text);
  } else if (data[0] == 'c') {
    (void)usable(parse_costs(text, "costs.toml"));
  } else {
    try_captured(text);
  }
  return 0;
}
