// SPDX-License-Identifier: Apache-2.0
#include "workload/line_source.hpp"

namespace memsim::detail {

std::unexpected<error> line_source::malformed(std::string_view what) const {
  return fail(errc::malformed, "{}:{}: {}: {}", name_, number_, what, escaped(line_, shown_line));
}

std::unexpected<error> line_source::unsupported(std::string_view what) const {
  return fail(errc::unsupported, "{}:{}: {}: {}", name_, number_, what, escaped(line_, shown_line));
}

std::unexpected<error> line_source::ends_early(std::string_view wanted) const {
  return fail(errc::malformed, "{}:{}: the file ends before {}", name_, number_ + 1, wanted);
}

}  // namespace memsim::detail
