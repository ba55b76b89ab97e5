// SPDX-License-Identifier: Apache-2.0
// The parser of machine files.
#include "workload/machine_file.hpp"

#include <bit>

#include <memsim/arch/merge_policy.hpp>
#include <memsim/workload/machine.hpp>

#include "core/read_file.hpp"
#include "workload/prices.hpp"

namespace memsim {
namespace {

using detail::shown_text;
using detail::table_reader;

memory_map read_memory(table_reader& top) {
  constexpr frame_count least_memory = (2_MiB).frames();
  if (top.has("memory") == top.has("region")) {
    top.complain_about("memory", "a machine file has either \"memory\" or [[region]] tables");
    return memory_map::x86_64(2_MiB);
  }
  if (top.has("memory")) {
    return memory_map::x86_64(bytes{top.frames("memory", least_memory) * page_bytes});
  }
  std::vector<memory_region> regions;
  top.tables("region", [&](table_reader& region) {
    static constexpr std::array<std::string_view, 3> keys{"start", "size", "kind"};
    region.allow_only(keys);
    memory_region r{.first = pfn{region.frames("start", 0)}, .count = region.frames("size", 1)};
    const auto kind = region.word("kind", "ram");
    constexpr std::array kinds{region_kind::ram, region_kind::reserved, region_kind::undescribed};
    const auto* const found =
        std::ranges::find(kinds, kind, static_cast<std::string (*)(region_kind)>(&to_text));
    if (found == kinds.end()) {
      region.complain_about("kind", "{} = \"{}\": allowed are ram, reserved, undescribed",
                            region.full("kind"), escaped(kind, shown_text));
    } else {
      r.kind = *found;
    }
    regions.push_back(r);
  });
  return memory_map{std::move(regions)};
}

// An area has a place, or is given one.
cma_area read_cma_area(table_reader& table, const machine_config& config) {
  static constexpr std::array<std::string_view, 5> keys{"base", "size", "alignment", "limit",
                                                        "order_per_bit"};
  table.allow_only(keys);
  const frame_count count = table.frames("size", 1);
  const order per_bit{
      static_cast<unsigned>(table.number("order_per_bit", 0, 0, max_page_order.value()))};
  if (table.has("base")) {
    for (const std::string_view key : {"alignment", "limit"}) {
      if (table.has(key))
        table.complain_about(key, "{}: the area has a base already", table.full(key));
    }
    return {pfn{table.frames("base", 0)}, count, per_bit};
  }
  cma_request wanted{.size = bytes{count * page_bytes}, .per_bit = per_bit};
  if (table.has("alignment")) {
    const auto frames = table.frames("alignment", 1);
    if (!std::has_single_bit(frames)) {
      table.complain_about("alignment", "{}: {} frames are no power of two",
                           table.full("alignment"), frames);
    }
    wanted.alignment = order{static_cast<unsigned>(std::bit_width(frames)) - 1};
  }
  if (table.has("limit")) wanted.limit = pfn{table.frames("limit", 1)};
  try {
    const auto placed = place_cma_area(config.memory, wanted, config.cma_areas);
    if (placed) return *placed;
    table.complain_about("size", "{}: {}", table.full("size"), placed.error());
  } catch (const usage_error& e) {
    table.complain_about("size", "{}: {}", table.full("size"), e.what());
  }
  return {pfn{0}, count, per_bit};
}

tuning read_tuning(table_reader& table) {
  static constexpr std::array<std::string_view, 10> keys{"min_free_kbytes",
                                                         "transparent_hugepages",
                                                         "watermark_scale_factor",
                                                         "watermark_boost_factor",
                                                         "percpu_pagelist_high_fraction",
                                                         "pcp_batch_scale_max",
                                                         "extfrag_threshold",
                                                         "compaction_proactiveness",
                                                         "swappiness",
                                                         "slow_path"};
  constexpr std::uint64_t most = std::numeric_limits<std::int32_t>::max();
  table.allow_only(keys);
  tuning t;
  const auto set = [&](unsigned& member, std::string_view key, std::uint64_t least,
                       std::uint64_t limit) {
    member = static_cast<unsigned>(table.number(key, member, least, limit));
  };
  if (table.has("min_free_kbytes")) {
    t.min_free_kbytes = table.number("min_free_kbytes", 1, 1, most);
  }
  t.transparent_hugepages = table.truth("transparent_hugepages", t.transparent_hugepages);
  set(t.watermark_scale_factor, "watermark_scale_factor", 1, 3000);
  set(t.watermark_boost_factor, "watermark_boost_factor", 0, most);
  set(t.percpu_pagelist_high_fraction, "percpu_pagelist_high_fraction", 0, most);
  set(t.pcp_batch_scale_max, "pcp_batch_scale_max", 0, 6);
  set(t.extfrag_threshold, "extfrag_threshold", 0, 1000);
  set(t.compaction_proactiveness, "compaction_proactiveness", 0, 100);
  set(t.swappiness, "swappiness", 0, 200);
  t.slow_path = rule{table.truth("slow_path", t.slow_path == rule::on)};
  return t;
}

// The page size that `key` names.
page_size size_named(table_reader& table, std::string_view key, page_size otherwise) {
  const auto word = table.word(key, to_text(otherwise));
  for (const auto size : all_page_sizes) {
    if (to_text(size) == word) return size;
  }
  table.complain_about(key, "{} = \"{}\": allowed are 1G, 2M, 4K", table.full(key),
                       escaped(word, shown_text));
  return otherwise;
}

nested_paging read_nested(table_reader& table) {
  static constexpr std::array<std::string_view, 2> keys{"host_page", "host_table_levels"};
  table.allow_only(keys);
  nested_paging nested;
  nested.host_page = size_named(table, "host_page", nested.host_page);
  nested.host_table_levels = static_cast<unsigned>(
      table.number("host_table_levels", nested.host_table_levels, 4, max_table_levels));
  return nested;
}

}  // namespace

machine_config detail::read_machine_config(table_reader& top, std::string_view file) {
  static constexpr std::array<std::string_view, 14> keys{
      "memory", "region", "cpus", "cpu",   "profile",         "movable_zone",  "cma",
      "tuning", "nested", "seed", "price", "largest_mapping", "flush_ceiling", "merging"};
  constexpr std::uint64_t most_cpus = 4096;
  top.allow_only(keys);
  machine_config config{.memory = read_memory(top)};
  config.cpus = static_cast<unsigned>(top.number("cpus", 1, 1, most_cpus));
  if (auto cpu = find_cpu(top.word("cpu", config.cpu.name))) {
    config.cpu = std::move(*cpu);
  } else {
    top.complain_about("cpu", "{}: {}", top.full("cpu"), cpu.error());
  }
  const auto profile = find_profile(top.word("profile", config.profile.name));
  if (profile) {
    config.profile = *profile;
  } else {
    top.complain_about("profile", "{}: {}", top.full("profile"), profile.error());
  }
  if (top.has("movable_zone")) config.movable_zone = top.frames("movable_zone", 0);
  top.tables("cma",
             [&](table_reader& area) { config.cma_areas.push_back(read_cma_area(area, config)); });
  top.table("tuning", [&](table_reader& table) { config.settings = read_tuning(table); });
  top.table("nested", [&](table_reader& table) { config.nested = read_nested(table); });
  top.table("price", [&](table_reader& table) {
    auto& costs = config.cpu.costs;
    costs = costs.named(std::string{file});
    detail::read_prices(table, file, costs);
  });
  config.largest_mapping = size_named(top, "largest_mapping", config.largest_mapping);
  config.flush_ceiling = top.number("flush_ceiling", config.flush_ceiling, 0,
                                    std::numeric_limits<std::int64_t>::max());
  config.merging = top.named("merging", config.merging, detail::merge_policies);
  config.seed = top.number("seed", config.seed, 0, std::numeric_limits<std::int64_t>::max());
  if (!top.has_problem()) validate(config.settings);
  return config;
}

std::expected<machine_config, error> parse_machine_config(std::string_view text,
                                                          std::string_view name) {
  return detail::read_toml(
      text, name, [&](table_reader& top) { return detail::read_machine_config(top, name); });
}

std::expected<machine_config, error> load_machine_config(const std::filesystem::path& path) {
  const auto text = detail::read_file(path);
  if (!text) return std::unexpected{text.error()};
  return parse_machine_config(*text, path.string());
}

std::expected<page_allocator_config, error> parse_machine(std::string_view text,
                                                          std::string_view name) {
  const auto config = parse_machine_config(text, name);
  if (!config) return std::unexpected{config.error()};
  return allocator_config(*config);
}

}  // namespace memsim
