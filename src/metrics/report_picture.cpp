// SPDX-License-Identifier: Apache-2.0
#include "metrics/report_picture.hpp"

#include <algorithm>
#include <array>
#include <bit>

#include <fmt/format.h>

#include "metrics/html.hpp"
#include "metrics/png.hpp"
#include "metrics/units.hpp"

namespace memsim::detail {
namespace {

/// A terabyte is drawn with one point a pageblock; more memory is reduced to as many.
constexpr std::size_t most_cells = 1u << 19;

/// Hues of Okabe and Ito, "Color Universal Design", told apart with any kind of colour vision; the
/// three common types also when faint.
constexpr std::array<rgba, migratetypes> hues{{
    {0xd5, 0x5e, 0x00},  // unmovable: vermilion
    {0x00, 0x72, 0xb2},  // movable: blue
    {0x00, 0x9e, 0x73},  // reclaimable: bluish green
    {0xcc, 0x79, 0xa7},  // highatomic: reddish purple
    {0xe6, 0x9f, 0x00},  // CMA: orange
    {0x80, 0x80, 0x80},  // isolate: grey
}};

/// Steps from an empty pageblock to a full one. An empty one is faint but there: it is not a hole.
constexpr frame_count fill_steps = 16;
constexpr unsigned faintest = 48;

constexpr std::uint8_t hole_colour = 0;

std::uint8_t colour_of(const picture_cell& cell) {
  if (!cell.memory) return hole_colour;
  // Rounded up, so that a single page in use shows.
  const auto fill = (cell.in_use * fill_steps + pageblock_frames - 1) / pageblock_frames;
  return static_cast<std::uint8_t>(1 + static_cast<frame_count>(cell.type) * (fill_steps + 1) +
                                   fill);
}

/// Shades are transparent, so that they are right on a light page and on a dark one.
std::vector<rgba> palette() {
  std::vector<rgba> colours{{0, 0, 0, 0}};
  for (auto hue : hues) {
    for (frame_count fill = 0; fill <= fill_steps; ++fill) {
      hue.alpha = static_cast<std::uint8_t>(faintest + (255 - faintest) * fill / fill_steps);
      colours.push_back(hue);
    }
  }
  return colours;
}

std::string image_of(const memory_picture& picture, const picture_layout& layout) {
  std::vector<std::uint8_t> pixels;
  pixels.reserve(layout.lines.size() * layout.width);
  for (const auto first : layout.lines) {
    for (std::size_t i = 0; i < layout.width; ++i) {
      const bool shown = first != picture_layout::gap && first + i < picture.cells.size();
      pixels.push_back(shown ? colour_of(picture.cells[first + i]) : hole_colour);
    }
  }
  return png_of(pixels, static_cast<std::uint32_t>(layout.width), palette());
}

bool is_hole(const memory_picture& picture, std::size_t first, std::size_t width) {
  const auto begin = picture.cells.begin() + static_cast<std::ptrdiff_t>(first);
  const auto left = static_cast<std::size_t>(picture.cells.end() - begin);
  return std::none_of(begin, begin + static_cast<std::ptrdiff_t>(std::min(width, left)),
                      [](const picture_cell& c) { return c.memory; });
}

/// A number of cells as a size, exactly: `12 GiB`.
std::string size_text(const memory_picture& picture, std::size_t cells) {
  return to_text(bytes{cells * picture.pageblocks_per_cell * pageblock_frames * page_bytes});
}

/// Labels for about eight lines, at round addresses, and for the line after each gap.
std::string address_labels(const memory_picture& picture, const picture_layout& layout) {
  constexpr std::size_t wanted = 8;
  const auto cells = layout.lines.size() * layout.width;
  const auto step =
      std::max(layout.width, std::bit_floor(std::max<std::size_t>(cells / wanted, 1)));
  const auto height = static_cast<double>(layout.lines.size());
  // No closer than this, or they would overlap.
  constexpr double closest = 0.05;
  double last = -1;
  std::string labels;
  for (std::size_t line = 0; line < layout.lines.size(); ++line) {
    const auto first = layout.lines[line];
    if (first == picture_layout::gap) continue;
    const bool after_gap = line > 0 && layout.lines[line - 1] == picture_layout::gap;
    const double place = static_cast<double>(line) / height;
    if ((first % step != 0 && !after_gap) || place < last + closest) continue;
    labels += fmt::format(R"(<span style="top:{:.2f}%">{}</span>)", place * 100,
                          first == 0 ? "0" : size_text(picture, first));
    last = place;
  }
  return labels;
}

std::string figure_of(std::string_view name, const memory_picture& picture,
                      const picture_layout& layout) {
  // Few cells are drawn large, with sharp edges; many are drawn small, and then smoothly.
  const auto* const style = layout.width <= 128 ? "sharp" : "smooth";
  return fmt::format(
      "<figure class=\"memory\">\n<figcaption><strong>{0}</strong></figcaption>\n"
      "<div class=\"map\"><div class=\"addresses\" aria-hidden=\"true\">{1}</div>"
      "<img class=\"{2}\" width=\"{3}\" height=\"{4}\" alt=\"Picture of memory, {0}: a point for "
      "each pageblock, coloured by migratetype and the stronger the fuller\" "
      "src=\"data:image/png;base64,{5}\"></div>\n</figure>\n",
      html_escaped(name), address_labels(picture, layout), style, layout.width, layout.lines.size(),
      base64_of(image_of(picture, layout)));
}

struct type_totals {
  std::uint64_t cells = 0;
  std::uint64_t in_use = 0;
};

std::array<type_totals, migratetypes> totals_of(const memory_picture& picture) {
  std::array<type_totals, migratetypes> totals{};
  for (const auto& cell : picture.cells) {
    if (!cell.memory) continue;
    auto& total = totals[static_cast<unsigned>(cell.type)];
    ++total.cells;
    total.in_use += cell.in_use;
  }
  return totals;
}

std::string swatch(migratetype type) {
  const auto& hue = hues[static_cast<unsigned>(type)];
  const auto rgb = fmt::format("{},{},{}", hue.red, hue.green, hue.blue);
  return fmt::format(
      "<li><span class=\"swatch\" style=\"background:linear-gradient(to right,rgba({0},{1:.2f}),"
      "rgb({0}))\"></span>{2}</li>",
      rgb, faintest / 255.0, html_escaped(name_of(type)));
}

std::string legend_of(std::span<const named_picture> pictures) {
  std::string items;
  for (const auto type : all_migratetypes) {
    const auto has_type = [&](const named_picture& p) {
      return totals_of(*p.picture)[static_cast<unsigned>(type)].cells > 0;
    };
    if (std::ranges::any_of(pictures, has_type)) items += swatch(type);
  }
  return fmt::format(
      "<ul class=\"legend\">{}<li class=\"hint\">faint: empty, strong: full</li>"
      "<li class=\"hint\">nothing: no memory</li></ul>\n",
      items);
}

std::string fill_text(const type_totals& total) {
  if (total.cells == 0) return "";
  return percent(static_cast<double>(total.in_use) /
                 static_cast<double>(total.cells * pageblock_frames));
}

std::string totals_table(const memory_picture& before, const memory_picture& after) {
  const auto old_totals = totals_of(before);
  const auto new_totals = totals_of(after);
  html_table table{{"Pageblocks", "before", "in use", "after", "in use"}};
  for (const auto type : all_migratetypes) {
    const auto t = static_cast<unsigned>(type);
    if (old_totals[t].cells + new_totals[t].cells == 0) continue;
    table.row({to_text(type), grouped(old_totals[t].cells), fill_text(old_totals[t]),
               grouped(new_totals[t].cells), fill_text(new_totals[t])});
  }
  return table.html();
}

}  // namespace

picture_layout lay_out(const memory_picture& picture) {
  picture_layout layout{.width = 32};
  while (2 * picture.cells.size() > 3 * layout.width * layout.width && layout.width < 512) {
    layout.width *= 2;
  }
  constexpr std::size_t longest_drawn_hole = 2;
  std::size_t holes = 0;
  for (std::size_t first = 0; first < picture.cells.size(); first += layout.width) {
    holes = is_hole(picture, first, layout.width) ? holes + 1 : 0;
    if (holes <= longest_drawn_hole) {
      layout.lines.push_back(first);
    } else if (layout.lines.back() != picture_layout::gap) {
      layout.lines.resize(layout.lines.size() - longest_drawn_hole);
      layout.lines.push_back(picture_layout::gap);
    }
  }
  // Nothing is beyond the last memory.
  while (!layout.lines.empty() && (layout.lines.back() == picture_layout::gap ||
                                   is_hole(picture, layout.lines.back(), layout.width))) {
    layout.lines.pop_back();
  }
  return layout;
}

std::string picture_grid(std::span<const named_picture> pictures) {
  const auto last = reduced(*pictures.back().picture, most_cells);
  const auto layout = lay_out(last);
  std::string figures;
  for (const auto& p : pictures) {
    figures += figure_of(p.name, reduced(*p.picture, most_cells), layout);
  }
  return fmt::format(
      "<p>Each point is {} of physical memory, {} to a line, from low addresses at the top to high "
      "ones at the bottom.</p>\n{}<div class=\"pair\">\n{}</div>\n",
      size_text(last, 1), size_text(last, layout.width), legend_of(pictures), figures);
}

std::string pictures_html(const memory_picture& before, const memory_picture& after) {
  const std::array pictures{named_picture{"Before", &before}, named_picture{"After", &after}};
  return picture_grid(pictures) + totals_table(before, after);
}

}  // namespace memsim::detail
