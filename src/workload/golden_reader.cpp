// SPDX-License-Identifier: Apache-2.0
#include <memsim/workload/golden_reader.hpp>

#include <utility>

#include "workload/golden_snapshot.hpp"
#include "workload/line_source.hpp"

namespace memsim {
namespace {

using detail::field_cursor;
using detail::line_source;

constexpr std::string_view known_subject = "page_alloc";
constexpr unsigned known_version = 1;

// The letters of a GFP field; nullopt if one is unknown.
std::optional<gfp> parse_letters(std::string_view letters) {
  gfp flags;
  for (const char letter : letters) {
    switch (letter) {
      case 'U': break;
      case 'M': flags = flags | gfp_flag::movable | gfp_flag::highmem; break;
      case 'R': flags = flags | gfp_flag::reclaimable; break;
      case 'k': flags = flags | gfp_flag::kswapd_reclaim; break;
      case 'h': flags = flags | gfp_flag::high; break;
      case 't': flags = flags | gfp_atomic; break;
      case 'd': flags = flags | gfp_flag::dma; break;
      default: return std::nullopt;
    }
  }
  if (flags.has_all(gfp_flag::movable | gfp_flag::reclaimable)) return std::nullopt;
  return flags;
}

// a ID ORDER GFP PFN
golden_allocation read_allocation(field_cursor& in) {
  golden_allocation a;
  a.id = in.number<std::uint64_t>();
  a.size = order{in.number<unsigned>(0, page_orders - 1)};
  const auto letters = in.word();
  if (const auto flags = parse_letters(letters)) {
    a.flags = *flags;
  } else {
    in.refuse(fmt::format("GFP letters '{}': allowed are U, M, R, k, h, t, d, and not M with R",
                          escaped(letters, detail::shown_word)));
  }
  if (const auto block = in.word(); block != "-") a.block = pfn{in.parse<std::uint64_t>(block)};
  return a;
}

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

}  // namespace

golden_reader::golden_reader(std::unique_ptr<line_source> input) : input_{std::move(input)} {}
golden_reader::golden_reader(golden_reader&&) noexcept = default;
golden_reader& golden_reader::operator=(golden_reader&&) noexcept = default;
golden_reader::~golden_reader() = default;

std::expected<golden_reader, error> golden_reader::open(std::istream& input, std::string name) {
  golden_reader reader{std::make_unique<line_source>(input, std::move(name))};
  if (auto ok = reader.read_header(); !ok) return std::unexpected{std::move(ok.error())};
  return reader;
}

std::expected<void, error> golden_reader::read_header() {
  if (!input_->next()) return input_->ends_early("its first line");
  {
    field_cursor in{input_->line()};
    in.expect("trace");
    header_.subject = in.word();
    const auto version = in.number<unsigned>();
    in.expect_end();
    if (!in.ok()) return input_->malformed("this is not a recording: " + in.problem());
    if (header_.subject != known_subject || version != known_version) {
      return input_->unsupported(fmt::format("memsim verifies '{}' recordings of version {}",
                                             known_subject, known_version));
    }
  }
  while (input_->next()) {
    if (input_->line() == "begin") {
      if (header_.kernel.empty()) return input_->malformed("no 'kernel' line came before");
      return {};
    }
    field_cursor in{input_->line()};
    const auto key = in.word();
    if (key == "kernel") {
      header_.kernel = in.word();
    } else if (key == "scenario") {
      header_.scenario = in.word();
    } else if (key == "config") {
      read_config(in, header_.settings);
    } else if (key != "machine" && key != "counts") {
      in.refuse("no such header line");
    }
    if (!in.ok()) return input_->malformed(in.problem());
  }
  return input_->ends_early("the line 'begin'");
}

std::expected<std::optional<golden_record>, error> golden_reader::next() {
  if (!input_->next()) return input_->ends_early("the line 'end'");
  golden_record record{.line = input_->number(), .what = golden_drain{}};
  field_cursor in{input_->line()};
  const auto letter = in.word();
  if (letter == "a") {
    record.what = read_allocation(in);
  } else if (letter == "f") {
    record.what = golden_free{in.number<std::uint64_t>()};
  } else if (letter == "x") {
    record.what = golden_fallback{input_->line()};
    for (int field = 0; field < 6; ++field) static_cast<void>(in.number<std::uint64_t>());
  } else if (letter == "S") {
    golden_snapshot snapshot{.first_line = input_->number() + 1};
    detail::snapshot_parser parser;
    while (true) {
      if (!input_->next()) return input_->ends_early("the line 'E' of a snapshot");
      if (input_->line() == "E") break;
      if (auto problem = parser.add(input_->line()); !problem.empty()) {
        return input_->malformed(problem);
      }
      snapshot.lines.push_back(input_->line());
    }
    snapshot.state = parser.finish();
    record.what = std::move(snapshot);
  } else if (letter == "end") {
    in.expect_end();
    if (in.ok()) return std::nullopt;
  } else if (letter != "D") {
    in.refuse("no such record");
  }
  in.expect_end();
  if (!in.ok()) return input_->malformed(in.problem());
  return record;
}

}  // namespace memsim
