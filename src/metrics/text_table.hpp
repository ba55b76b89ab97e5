// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Rows of words in aligned columns.

#include <string>
#include <vector>

namespace memsim::detail {

/// The first column is aligned left, all others right; columns are as wide as their widest cell.
class text_table {
 public:
  text_table& row(std::vector<std::string> cells);
  /// An empty line.
  text_table& gap() { return row({}); }
  [[nodiscard]] std::string text() const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace memsim::detail
