// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Random numbers that are the same on every compiler and machine.
///
/// Every component draws from a stream of its own, named after it, so that one more draw in one
/// component leaves all others as they were. Boost.Random's engine and distributions are fully
/// specified; the standard library's distributions are not.

#include <cstdint>
#include <string_view>
#include <vector>

#include <boost/random/mersenne_twister.hpp>

namespace memsim {

/// An independent sequence, a pure function of (seed, name).
class random_stream {
 public:
  /// \param seed  the seed of the whole run
  /// \param name  who draws, for example "replay.placement"
  random_stream(std::uint64_t seed, std::string_view name);

  /// Uniform in [0, bound); `bound` at least 1.
  /// \throws usage_error if `bound` is 0
  [[nodiscard]] std::uint64_t below(std::uint64_t bound);
  /// Uniform in [0, 1), a multiple of 2^-53.
  [[nodiscard]] double unit();
  /// Exponentially distributed, 1 on average.
  [[nodiscard]] double exponential();
  /// True with the given probability.
  /// \throws usage_error unless 0 <= probability <= 1
  [[nodiscard]] bool chance(double probability);

  /// Fisher-Yates, from the last element down.
  template <class T>
  void shuffle(std::vector<T>& items) {
    for (std::size_t n = items.size(); n > 1; --n) std::swap(items[n - 1], items[below(n)]);
  }

 private:
  boost::random::mt19937_64 engine_;
};

}  // namespace memsim
