// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Makes a page allocator refuse requests on purpose, to see whether its users cope.

#include <cstdint>
#include <optional>

#include <memsim/alloc/observer.hpp>
#include <memsim/core/random.hpp>

namespace memsim::testing {

/// Which requests can fail: all that match every field that is set.
struct fault_filter {
  std::optional<order> size{};  ///< only requests of this order
  gfp flags{};                  ///< only requests with all of these flags
};

/// Refuses the nth request that matches, or each with a probability.
///
///     auto faults = fault_injector::nth(3, {.size = order{0}});
///     memory.set_gate(&faults);
class fault_injector final : public allocation_gate {
 public:
  /// \param n  1 for the first matching request
  /// \throws usage_error if `n` is 0
  [[nodiscard]] static fault_injector nth(std::uint64_t n, fault_filter filter = {});
  /// \throws usage_error unless 0 <= probability <= 1
  [[nodiscard]] static fault_injector with_probability(double probability, std::uint64_t seed,
                                                       fault_filter filter = {});

  [[nodiscard]] bool refuses(const context&, order size, gfp flags) override;

  /// Requests that matched the filter, and those of them that were refused.
  [[nodiscard]] std::uint64_t matched() const { return matched_; }
  [[nodiscard]] std::uint64_t refused() const { return refused_; }

 private:
  fault_injector(std::uint64_t nth, double probability, std::uint64_t seed, fault_filter filter);

  fault_filter filter_;
  std::uint64_t nth_;
  double probability_;
  random_stream random_;
  std::uint64_t matched_ = 0;
  std::uint64_t refused_ = 0;
};

}  // namespace memsim::testing
