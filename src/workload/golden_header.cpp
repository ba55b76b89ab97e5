// SPDX-License-Identifier: Apache-2.0
#include "workload/golden_header.hpp"

#include <algorithm>
#include <array>

namespace memsim::detail {
namespace {

constexpr std::array<std::string_view, 8> known_subjects{
    "page_alloc", "direct_map", "secretmem", "contig", "compaction", "cma", "thp", "hugetlb"};
constexpr unsigned known_version = 1;
constexpr std::uint64_t most_mib = 16 << 20;

// config KEY=VALUE ...
void read_config(field_cursor& in, tuning& settings) {
  while (in.ok() && !in.at_end()) {
    const auto pair = in.word();
    const auto equals = pair.find('=');
    const auto key = pair.substr(0, equals);
    const auto value = equals == std::string_view::npos ? "" : pair.substr(equals + 1);
    const auto must_be = [&](std::string_view only) {
      if (value != only) in.refuse(fmt::format("memsim replays recordings with {}={}", key, only));
    };
    if (key == "pcp_batch_scale_max") {
      settings.pcp_batch_scale_max = in.parse<unsigned>(value, 0, 6);
    } else if (key == "watermark_boost_factor") {
      settings.watermark_boost_factor = in.parse<unsigned>(value, 0, 1'000'000);
    } else if (key == "extfrag_threshold") {
      settings.extfrag_threshold = in.parse<unsigned>(value, 0, 1000);
    } else if (key == "cma_order_per_bit") {
      must_be("0");
    } else if (key == "orders") {
      must_be("11");
    } else if (key == "pageblock_order") {
      must_be("9");
    } else if (key == "cpus" || key == "nodes") {
      must_be("1");
    } else if (key == "shuffle") {
      must_be("n");
    }
  }
}

// machine KEY=VALUE ...
void read_machine(field_cursor& in, golden_header& header) {
  while (in.ok() && !in.at_end()) {
    const auto pair = in.word();
    constexpr std::string_view key = "memory_mb=";
    if (!pair.starts_with(key)) continue;
    header.memory = 1_MiB * in.parse<std::uint64_t>(pair.substr(key.size()), 2, most_mib);
  }
}

}  // namespace

std::expected<golden_header, error> read_golden_header(line_source& input) {
  golden_header header;
  if (!input.next()) return input.ends_early("its first line");
  {
    field_cursor in{input.line()};
    in.expect("trace");
    header.subject = in.word();
    const auto version = in.number<unsigned>();
    in.expect_end();
    if (!in.ok()) return input.malformed("this is not a recording: " + in.problem());
    if (std::ranges::find(known_subjects, header.subject) == known_subjects.end() ||
        version != known_version) {
      return input.unsupported(fmt::format("memsim verifies recordings of {}, all of version {}",
                                           fmt::join(known_subjects, ", "), known_version));
    }
  }
  while (input.next()) {
    if (input.line() == "begin") {
      if (header.kernel.empty()) return input.malformed("no 'kernel' line came before");
      return header;
    }
    field_cursor in{input.line()};
    const auto key = in.word();
    if (key == "kernel") {
      header.kernel = in.word();
    } else if (key == "scenario") {
      header.scenario = in.word();
    } else if (key == "config") {
      read_config(in, header.settings);
    } else if (key == "machine") {
      read_machine(in, header);
    } else if (key != "counts") {
      in.refuse("no such header line");
    }
    if (!in.ok()) return input.malformed(in.problem());
  }
  return input.ends_early("the line 'begin'");
}

}  // namespace memsim::detail
