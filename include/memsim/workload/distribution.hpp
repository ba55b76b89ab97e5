// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// What the sizes and times of a workload are drawn from.
///
///     const auto sizes = distribution::log_uniform(1, 4096);   // frames
///     const auto frames = sizes.draw(random);

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include <memsim/core/random.hpp>

namespace memsim {

enum class distribution_kind : unsigned char {
  constant,
  uniform,      ///< whole numbers, all alike
  log_uniform,  ///< whole numbers; each octave as likely as any other
  exponential,
};

[[nodiscard]] std::string_view name_of(distribution_kind);
[[nodiscard]] std::string to_text(distribution_kind);

/// Of whole numbers: frames, or nanoseconds.
class distribution {
 public:
  constexpr distribution() = default;
  /// Always this.
  constexpr distribution(std::uint64_t value) : least_{value}, most_{value} {}
  constexpr distribution(std::chrono::nanoseconds value)
      : distribution{static_cast<std::uint64_t>(value.count())} {}
  /// \throws usage_error unless least <= most
  [[nodiscard]] static distribution uniform(std::uint64_t least, std::uint64_t most);
  /// \throws usage_error unless 1 <= least <= most
  [[nodiscard]] static distribution log_uniform(std::uint64_t least, std::uint64_t most);
  /// \throws usage_error unless the mean is at least 1
  [[nodiscard]] static distribution exponential(std::uint64_t mean);

  [[nodiscard]] distribution_kind kind() const { return kind_; }
  /// The least that is ever drawn.
  [[nodiscard]] std::uint64_t least() const { return least_; }
  /// The most that is ever drawn: of an exponential distribution 64 times its mean.
  [[nodiscard]] std::uint64_t most() const { return most_; }

  /// A constant draws nothing of the stream.
  [[nodiscard]] std::uint64_t draw(random_stream& random) const;

  friend bool operator==(const distribution&, const distribution&) = default;

 private:
  distribution(distribution_kind kind, std::uint64_t least, std::uint64_t most)
      : kind_{kind}, least_{least}, most_{most} {}

  distribution_kind kind_ = distribution_kind::constant;
  std::uint64_t least_ = 0;
  std::uint64_t most_ = 0;
};

/// `512`, `uniform 1 to 8`, `exponential, 40 on average`
[[nodiscard]] std::string to_text(const distribution&);

}  // namespace memsim
