// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include <fmt/format.h>

#include <memsim/metrics/fragmentation.hpp>

#include "metrics/json_values.hpp"

namespace memsim {
namespace detail {
namespace {

json frames_json(const frame_totals& f) {
  return {{"memory", f.memory},
          {"free", f.free},
          {"per_cpu", f.per_cpu},
          {"in_use_movable", f.movable},
          {"in_use_unmovable", f.unmovable}};
}

json lists_json(const free_block_matrix& blocks) {
  json lists = json::object();
  for (const auto type : all_migratetypes) {
    auto& list = lists[to_text(type)] = json::array();
    for (unsigned o = 0; o < page_orders; ++o)
      list.push_back(blocks[o][static_cast<unsigned>(type)]);
  }
  lists["all"] = total_by_order(blocks);
  return lists;
}

json pageblocks_json(const fragmentation& v) {
  json counts = json::object();
  for (const auto type : all_migratetypes) {
    counts[to_text(type)] = v.pageblocks[static_cast<unsigned>(type)];
  }
  return counts;
}

json indices_json(const order_counts& blocks) {
  json unusable = json::array();
  json fragmented = json::array();
  json unusable_part = json::array();
  json fragmented_part = json::array();
  for (unsigned o = 0; o < page_orders; ++o) {
    unusable.push_back(unusable_index(blocks, order{o}));
    fragmented.push_back(fragmentation_index(blocks, order{o}));
    unusable_part.push_back(unusable_fraction(blocks, order{o}));
    fragmented_part.push_back(fragmentation_fraction(blocks, order{o}).value());
  }
  return {{"unusable_index", unusable},
          {"fragmentation_index", fragmented},
          {"unusable_fraction", unusable_part},
          {"fragmentation_fraction", fragmented_part}};
}

json large_json(const large_blocks& b, frame_count memory) {
  return {{"order", b.size.value()},
          {"bytes", b.size.frames() * page_bytes},
          {"with_memory", b.with_memory},
          {"with_unmovable", b.with_unmovable},
          {"free_now", b.free_now},
          {"free_if_moved", b.free_if_moved},
          {"share_of_memory_free_now", share_of(b.free_now, b.size, memory)},
          {"share_of_memory_free_if_moved", share_of(b.free_if_moved, b.size, memory)}};
}

json runs_json(const free_runs& runs) {
  json shares = json::array();
  for (unsigned k = 0; k < run_orders; ++k) shares.push_back(runs.share_in(k));
  return {{"longest", runs.longest}, {"share_in_runs_of_2_to_the", shares}};
}

json values_json(const fragmentation& v) {
  json values{{"frames", frames_json(v.frames)},
              {"free_blocks", lists_json(v.free_blocks)},
              {"pageblocks", pageblocks_json(v)}};
  values.update(indices_json(total_by_order(v.free_blocks)));
  values["mixed_pageblocks"] = {{"movable_and_unmovable", v.mixed.both},
                                {"movable_type_with_unmovable", v.mixed.movable_with_unmovable},
                                {"other_type_with_movable", v.mixed.other_with_movable}};
  auto& large = values["large_blocks"] = json::array();
  for (const auto& b : v.large) large.push_back(large_json(b, v.frames.memory));
  values["free_runs"] = runs_json(v.runs);
  return values;
}

}  // namespace

json measurement_units() {
  return {{"frames", "frames of 4096 bytes"},
          {"free_blocks", "blocks of 2^k frames, k = 0, 1, ..."},
          {"pageblocks", "blocks of 512 frames that hold memory"},
          {"unusable_index", "thousandths, as the kernel rounds, by order; 1000: nothing is free"},
          {"fragmentation_index",
           "thousandths, as the kernel rounds, by order; -1000: a request would not fail, 0: "
           "nothing is free"},
          {"unusable_fraction", "the same as fractions, not rounded"},
          {"fragmentation_fraction", "the same as fractions, not rounded"},
          {"mixed_pageblocks", "pageblocks"},
          {"large_blocks", "aligned blocks"},
          {"cma", "whether the machine has an area of contiguous memory"},
          {"free_runs.longest", "frames"},
          {"free_runs.share_in_runs_of_2_to_the",
           "part of the free frames in runs of at least 2^k frames, k = 0, 1, ..."}};
}

json to_json(const memory_measurement& m) {
  json zones = json::array();
  for (const auto& zone : m.zones) {
    json entry{{"zone", to_text(zone.zone)}};
    entry.update(values_json(zone.values));
    zones.push_back(std::move(entry));
  }
  return {
      {"machine", values_json(m.machine)}, {"zones", std::move(zones)}, {"cma", m.cma == rule::on}};
}

json to_json(const memory_picture& picture) {
  std::string cells;
  for (auto at = picture.cells.begin(); at != picture.cells.end();) {
    const auto next = std::find_if(at, picture.cells.end(),
                                   [&](const picture_cell& cell) { return cell != *at; });
    if (!cells.empty()) cells += ' ';
    cells += at->memory ? fmt::format("{}{}", name_of(at->type).front(), at->in_use) : ".";
    if (next - at > 1) cells += fmt::format("*{}", next - at);
    at = next;
  }
  return {{"pageblocks_per_cell", picture.pageblocks_per_cell}, {"cells", cells}};
}

json to_json(const std::vector<series_column>& columns) {
  json values = json::object();
  for (const auto& c : columns) {
    values[c.name] = {{"unit", c.unit}, {"description", c.description}};
  }
  return values;
}

json to_json(const std::vector<statistic_value>& statistics) {
  json values = json::object();
  for (const auto& s : statistics) {
    values[std::string{s.name}] = {
        {"value", s.value}, {"unit", s.unit}, {"description", s.description}};
  }
  return values;
}

}  // namespace detail

std::string json_of(const memory_measurement& m) {
  detail::json document{{"schema", "memsim.fragmentation/1"},
                        {"units", detail::measurement_units()}};
  document.update(detail::to_json(m));
  return document.dump(2) + '\n';
}

}  // namespace memsim
