// SPDX-License-Identifier: Apache-2.0
// A state in the words of a recording of contiguous ranges or compaction.
#include <cstdint>
#include <iterator>

#include "testing/golden_lines.hpp"

namespace memsim::testing {
namespace {

std::string memory_line(const zone_state& z) {
  const auto& c = z.compaction;
  std::size_t isolated = 0;
  for (const auto& type : z.pageblocks) isolated += type == migratetype::isolate;
  return fmt::format(
      "K {} migrate0 {} migrate1 {} free {} init_migrate {} init_free {} considered {} shift {} "
      "order_failed {} flush {:d} isolated_blocks {}",
      z.extent.type, c.migrate_async, c.migrate_sync, c.free, c.init_migrate, c.init_free,
      c.considered, c.shift, c.order_failed, c.flush_hints, isolated);
}

void add_hints(std::vector<std::string>& lines, const zone_state& z) {
  if (z.skip_hints.empty()) return;
  fmt::memory_buffer line;
  fmt::format_to(std::back_inserter(line), "W {}:", z.extent.type);
  for (const auto frame : z.skip_hints) fmt::format_to(std::back_inserter(line), " {}", frame);
  lines.push_back(fmt::to_string(line));
}

// FNV-1a, as the recording's format says.
std::uint64_t hash_of(const std::vector<std::string>& lines) {
  std::uint64_t hash = 0xcbf29ce484222325;
  const auto add = [&](char c) { hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3; };
  for (const auto& line : lines) {
    for (const char c : line) add(c);
    add('\n');
  }
  return hash;
}

}  // namespace

std::vector<std::string> contig_lines(const allocator_state& state, pcp_rule kernel,
                                      snapshot_form form) {
  std::vector<std::string> lines;
  for (const auto& z : state.zones) {
    lines.push_back(zone_line(z, kernel));
    lines.push_back(memory_line(z));
    lines.push_back(page_set_line(z, kernel));
    std::vector<std::string> lists;
    add_lists(lists, z, kernel);
    add_hints(lists, z);
    if (form == snapshot_form::full) {
      lines.insert(lines.end(), lists.begin(), lists.end());
    } else {
      lines.push_back(fmt::format("H {} {:016x}", z.extent.type, hash_of(lists)));
    }
  }
  return lines;
}

}  // namespace memsim::testing
