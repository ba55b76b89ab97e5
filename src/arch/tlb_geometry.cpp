// SPDX-License-Identifier: Apache-2.0
#include <memsim/arch/tlb_geometry.hpp>

#include <memsim/arch/recency.hpp>
#include <memsim/core/error.hpp>

namespace memsim {
namespace {

constexpr std::uint64_t max_entries = 1 << 20;
constexpr unsigned max_ways = 4096;

void validate_table(const std::string& name, const table_geometry& table, unsigned least_ways) {
  if (table.sets < 1 || table.ways < least_ways || table.ways > max_ways ||
      std::uint64_t{table.sets} * table.ways > max_entries) {
    throw_usage(
        "{}: {} sets of {} ways: there must be at least 1 set, {} to {} ways, and at most {} "
        "entries",
        name, table.sets, table.ways, least_ways, max_ways, max_entries);
  }
  if (table.policy > replacement::random) {
    throw_usage("{}.policy {}: allowed are 0 to 2", name, static_cast<unsigned>(table.policy));
  }
  if (table.policy == replacement::tree_plru && table.ways > detail::recency_tree::max_ways) {
    throw_usage("{}: tree_plru with {} ways: it has at most {}", name, table.ways,
                detail::recency_tree::max_ways);
  }
}

void validate_level(unsigned number, const tlb_level& level) {
  const auto name = fmt::format("levels[{}]", number);
  if (level.empty()) throw_usage("{}: a level has at least one structure", name);
  for (std::size_t i = 0; i < level.size(); ++i) {
    if (level[i].sizes.empty()) throw_usage("{}[{}].sizes: at least one page size", name, i);
    validate_table(fmt::format("{}[{}].table", name, i), level[i].table, 1);
    for (const page_size size : all_page_sizes) {
      for (std::size_t other = 0; other < i; ++other) {
        if (level[i].sizes.contains(size) && level[other].sizes.contains(size)) {
          throw_usage("{}: {} pages are in structures {} and {}: one at most may keep a size", name,
                      size, other, i);
        }
      }
    }
  }
}

void validate_table_levels(const char* name, unsigned levels) {
  if (levels != 4 && levels != 5) throw_usage("{} {}: allowed are 4 and 5", name, levels);
}

}  // namespace

void validate(const tlb_config& config) {
  const auto& levels = config.geometry.levels;
  if (levels.empty() || levels.size() > max_tlb_levels) {
    throw_usage("{} levels: a TLB has 1 to {}", levels.size(), max_tlb_levels);
  }
  for (unsigned i = 0; i < levels.size(); ++i) validate_level(i, levels[i]);
  validate_table_levels("table_levels", config.geometry.table_levels);

  const auto& caches = config.geometry.walk_caches;
  validate_table("walk_caches.pde", caches.pde, 0);
  validate_table("walk_caches.pdpte", caches.pdpte, 0);
  validate_table("walk_caches.pml4e", caches.pml4e, 0);
  validate_table("walk_caches.pml5e", caches.pml5e, 0);

  if (config.nested) {
    validate(config.nested->host_page, "nested.host_page");
    validate_table_levels("nested.host_table_levels", config.nested->host_table_levels);
    validate_table("nested.nested_tlb", config.nested->nested_tlb, 0);
  }
}

bytes reach(const tlb_level& level, page_size size) {
  for (const auto& structure : level) {
    if (structure.sizes.contains(size)) {
      return bytes{structure.table.entries() * frames_of(size) * page_bytes};
    }
  }
  return bytes{};
}

std::string to_text(replacement policy) {
  static constexpr std::array names{"lru", "tree_plru", "random"};
  return names[static_cast<unsigned>(policy)];
}

std::string to_text(page_size_set sizes) {
  std::string text;
  for (const page_size s : all_page_sizes) {
    if (!sizes.contains(s)) continue;
    if (!text.empty()) text += '/';
    text += to_text(s);
  }
  return text;
}

std::string to_text(const table_geometry& table) {
  return fmt::format("{} x {} {}", table.sets, table.ways, table.policy);
}

std::string to_text(const tlb_structure& structure) {
  return fmt::format("{} {}", structure.sizes, structure.table);
}

}  // namespace memsim
