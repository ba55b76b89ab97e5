// SPDX-License-Identifier: Apache-2.0
#include <memsim/workload/golden_reader.hpp>

#include <utility>

#include "workload/golden_header.hpp"
#include "workload/golden_snapshot.hpp"
#include "workload/line_source.hpp"

namespace memsim {
namespace {

using detail::field_cursor;
using detail::line_source;

}  // namespace

std::optional<gfp> detail::parse_gfp_letters(std::string_view letters) {
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
      case 'D': flags = flags | gfp_kernel; break;
      case 'I': flags = flags | gfp_reclaim; break;
      default: return std::nullopt;
    }
  }
  if (flags.has_all(gfp_flag::movable | gfp_flag::reclaimable)) return std::nullopt;
  return flags;
}

namespace {

// a ID ORDER GFP PFN
golden_allocation read_allocation(field_cursor& in) {
  golden_allocation a;
  a.id = in.number<std::uint64_t>();
  a.size = order{in.number<unsigned>(0, page_orders - 1)};
  const auto letters = in.word();
  if (const auto flags = detail::parse_gfp_letters(letters)) {
    a.flags = *flags;
  } else {
    in.refuse(
        fmt::format("GFP letters '{}': allowed are U, M, R, k, h, t, d, D, I, and not M with R",
                    escaped(letters, detail::shown_word)));
  }
  if (const auto block = in.word(); block != "-") a.block = pfn{in.parse<std::uint64_t>(block)};
  return a;
}

}  // namespace

golden_reader::golden_reader(golden_header header, std::unique_ptr<line_source> input)
    : header_{std::move(header)}, input_{std::move(input)} {}
golden_reader::golden_reader(golden_reader&&) noexcept = default;
golden_reader& golden_reader::operator=(golden_reader&&) noexcept = default;
golden_reader::~golden_reader() = default;

std::expected<golden_reader, error> golden_reader::open(std::istream& input, std::string name) {
  auto source = std::make_unique<line_source>(input, std::move(name));
  auto header = detail::read_golden_header(*source);
  if (!header) return std::unexpected{std::move(header.error())};
  if (header->subject != "page_alloc") {
    return source->unsupported(
        fmt::format("a recording of '{}', not of the page allocator", header->subject));
  }
  return golden_reader{std::move(*header), std::move(source)};
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
