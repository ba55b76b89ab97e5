// SPDX-License-Identifier: Apache-2.0
#include "metrics/html.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "metrics/report_style.hpp"

namespace memsim::detail {
namespace {

std::string row_of(const std::vector<std::string>& cells, std::string_view attributes) {
  std::string row = fmt::format("<tr{}>", attributes);
  for (std::size_t i = 0; i < cells.size(); ++i) {
    row += i == 0 ? fmt::format(R"(<th scope="row">{}</th>)", html_escaped(cells[i]))
                  : fmt::format("<td>{}</td>", html_escaped(cells[i]));
  }
  return row + "</tr>\n";
}

}  // namespace

std::string html_escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      case '\'': out += "&#39;"; break;
      default: out += c;
    }
  }
  return out;
}

std::string html_bars(std::string_view title, std::string_view note,
                      const std::vector<html_bar>& bars) {
  double most = 0;
  for (const auto& bar : bars) most = std::max(most, bar.value);
  std::string rows;
  for (const auto& [label, value, text] : bars) {
    rows += fmt::format("<li><span>{}</span><i style=\"width:{:.1f}%\"></i><b>{}</b></li>\n",
                        html_escaped(label), most > 0 ? 100 * value / most : 0, html_escaped(text));
  }
  return fmt::format(
      "<figure>\n<figcaption><strong>{}</strong> {}</figcaption>\n<ul class=\"bars\">\n{}</ul>\n"
      "</figure>\n",
      html_escaped(title), html_escaped(note), rows);
}

html_table::html_table(const std::vector<std::string>& heading) : columns_{heading.size()} {
  for (const auto& cell : heading) {
    heading_ += fmt::format(R"(<th scope="col">{}</th>)", html_escaped(cell));
  }
}

html_table& html_table::groups(const std::vector<std::string>& names, std::size_t width) {
  groups_ = R"(<tr class="groups"><th></th>)";
  for (const auto& name : names) {
    groups_ +=
        fmt::format(R"(<th scope="colgroup" colspan="{}">{}</th>)", width, html_escaped(name));
  }
  groups_ += "</tr>\n";
  return *this;
}

html_table& html_table::row(const std::vector<std::string>& cells) {
  body_ += row_of(cells, "");
  return *this;
}

html_table& html_table::strong_row(const std::vector<std::string>& cells) {
  body_ += row_of(cells, R"( class="strong")");
  return *this;
}

html_table& html_table::section(std::string_view name) {
  body_ += fmt::format(R"(<tr class="section"><th scope="colgroup" colspan="{}">{}</th></tr>)",
                       columns_, html_escaped(name));
  body_ += '\n';
  return *this;
}

std::string html_table::html() const {
  return fmt::format(
      "<div class=\"scroll\" tabindex=\"0\"><table>\n<thead>{}<tr>{}</tr></thead>\n"
      "<tbody>\n{}</tbody>\n</table></div>\n",
      groups_, heading_, body_);
}

std::string page_start(std::string_view title, std::string_view beside) {
  return fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<meta name=\"generator\" content=\"memsim\">\n<title>memsim: {0}</title>\n"
      "<style>{1}</style>\n</head>\n<body>\n<header>\n<h1>{0}</h1>\n"
      "<p class=\"quiet\">{2}</p>\n</header>\n<main>\n",
      html_escaped(title), report_style, html_escaped(beside));
}

std::string page_end() { return "</main>\n</body>\n</html>\n"; }

}  // namespace memsim::detail
