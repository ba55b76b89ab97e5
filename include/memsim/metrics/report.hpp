// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// A run as a page to look at: one file, with everything in it.

#include <string>

#include <memsim/metrics/results.hpp>

namespace memsim {

/// The text of an HTML page that needs neither other files nor the network: headline numbers,
/// charts over time, pictures of memory before and after, the comparison with a recording, tables,
/// and how the run was made.
///
/// gnuplot draws the charts; where there is none, the page says so and has all the rest.
[[nodiscard]] std::string report_html(const run_results& results);

}  // namespace memsim
