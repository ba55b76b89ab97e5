// SPDX-License-Identifier: Apache-2.0
#include <memsim/workload/distribution.hpp>

#include <algorithm>
#include <bit>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include <memsim/core/error.hpp>

namespace memsim {
namespace {

// Beyond it are 2 of 10^28 draws.
constexpr std::uint64_t most_means = 64;
constexpr std::uint64_t most_mean = std::numeric_limits<std::uint64_t>::max() / most_means;

// Octave by octave, the last one as far as it goes.
std::uint64_t draw_octave(random_stream& random, std::uint64_t least, std::uint64_t most) {
  const auto octaves = static_cast<unsigned>(std::bit_width(most / least));
  const auto low = least << random.below(octaves);
  const auto high = std::min(most, low + (low - 1));
  return low + random.below(high - low + 1);
}

}  // namespace

std::string_view name_of(distribution_kind kind) {
  switch (kind) {
    case distribution_kind::constant: return "constant";
    case distribution_kind::uniform: return "uniform";
    case distribution_kind::log_uniform: return "log_uniform";
    case distribution_kind::exponential: return "exponential";
  }
  std::unreachable();
}

std::string to_text(distribution_kind kind) { return std::string{name_of(kind)}; }

distribution distribution::uniform(std::uint64_t least, std::uint64_t most) {
  if (least > most || most == std::numeric_limits<std::uint64_t>::max()) {
    throw_usage("uniform from {} to {}: the first may not be above the second", least, most);
  }
  return {distribution_kind::uniform, least, most};
}

distribution distribution::log_uniform(std::uint64_t least, std::uint64_t most) {
  if (least < 1 || least > most) {
    throw_usage("log_uniform from {} to {}: allowed is from 1, the first not above the second",
                least, most);
  }
  return {distribution_kind::log_uniform, least, most};
}

distribution distribution::exponential(std::uint64_t mean) {
  if (mean < 1 || mean > most_mean) {
    throw_usage("exponential with a mean of {}: allowed are 1 to {}", mean, most_mean);
  }
  return {distribution_kind::exponential, 0, mean * most_means};
}

std::uint64_t distribution::draw(random_stream& random) const {
  switch (kind_) {
    case distribution_kind::constant: return least_;
    case distribution_kind::uniform: return least_ + random.below(most_ - least_ + 1);
    case distribution_kind::log_uniform: return draw_octave(random, least_, most_);
    case distribution_kind::exponential: {
      const auto mean = static_cast<double>(most_ / most_means);
      const auto drawn = mean * random.exponential();
      return drawn >= static_cast<double>(most_) ? most_ : static_cast<std::uint64_t>(drawn);
    }
  }
  std::unreachable();
}

std::string to_text(const distribution& d) {
  switch (d.kind()) {
    case distribution_kind::constant: return fmt::to_string(d.least());
    case distribution_kind::exponential:
      return fmt::format("exponential, {} on average", d.most() / most_means);
    default: return fmt::format("{} {} to {}", name_of(d.kind()), d.least(), d.most());
  }
}

}  // namespace memsim
