// SPDX-License-Identifier: Apache-2.0
#include <memsim/testing/golden_replay.hpp>

#include <algorithm>
#include <array>
#include <string_view>

#include <memsim/core/text.hpp>

#include "testing/golden_score.hpp"

namespace memsim::testing {
namespace {

// The profile of exactly this kernel series: the rules of another would be compared in vain.
std::expected<kernel_profile, error> verified_profile(const std::string& release) {
  auto nearest = profile_for_release(release);
  if (!nearest) return nearest;
  // `linux_6_1` is for `linux-6.1`, `linux-6.1.192` and `6.1-rc3`.
  std::string series{nearest->name.substr(nearest->name.find('_') + 1)};
  std::ranges::replace(series, '_', '.');
  std::string_view rest{release};
  if (rest.starts_with("linux-")) rest.remove_prefix(6);
  const bool same =
      rest.starts_with(series) &&
      (rest.size() == series.size() || rest[series.size()] == '.' || rest[series.size()] == '-');
  if (same) return nearest;
  return fail(errc::unsupported,
              "no rules of kernel '{}' are known: recordings can be verified by {} and {}",
              escaped(release, 64), linux_6_1, linux_6_12);
}

}  // namespace

std::expected<golden_result, error> replay_golden(std::istream& input, std::string name) {
  auto lines = std::make_unique<detail::line_source>(input, name);
  auto header = detail::read_golden_header(*lines);
  if (!header) return std::unexpected{header.error()};
  const auto profile = verified_profile(header->kernel);
  if (!profile) return fail(profile.error().code(), "{}: {}", name, profile.error());
  struct subject {
    std::string_view name;
    std::expected<golden_result, error> (*replay)(golden_input);
  };
  static constexpr std::array subjects{subject{"page_alloc", replay_page_alloc},
                                       subject{"direct_map", replay_direct_map},
                                       subject{"secretmem", replay_secretmem},
                                       subject{"contig", replay_contig},
                                       subject{"compaction", replay_contig},
                                       subject{"cma", replay_cma},
                                       subject{"thp", replay_thp},
                                       subject{"hugetlb", replay_hugetlb}};
  const auto* const known = std::ranges::find(subjects, header->subject, &subject::name);
  auto result = known->replay({std::move(*header), *profile, std::move(lines), name});
  if (result && result->compared == 0) {
    return fail(errc::malformed, "{}: no decision to compare comes after the first snapshot", name);
  }
  return result;
}

}  // namespace memsim::testing
