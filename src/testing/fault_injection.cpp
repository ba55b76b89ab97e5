// SPDX-License-Identifier: Apache-2.0
#include <memsim/testing/fault_injection.hpp>

#include <memsim/core/error.hpp>

namespace memsim::testing {

fault_injector::fault_injector(std::uint64_t nth, double probability, std::uint64_t seed,
                               fault_filter filter)
    : filter_{filter}, nth_{nth}, probability_{probability}, random_{seed, "fault_injection"} {}

fault_injector fault_injector::nth(std::uint64_t n, fault_filter filter) {
  if (n == 0) throw_usage("fault_injector::nth(0): the first request is number 1");
  return {n, 0, 0, filter};
}

fault_injector fault_injector::with_probability(double probability, std::uint64_t seed,
                                                fault_filter filter) {
  if (!(probability >= 0 && probability <= 1)) {
    throw_usage("fault probability {} is not between 0 and 1", probability);
  }
  return {0, probability, seed, filter};
}

bool fault_injector::refuses(const context&, order size, gfp flags) {
  if (filter_.size && *filter_.size != size) return false;
  if (!flags.has_all(filter_.flags)) return false;
  ++matched_;
  const bool refused = nth_ != 0 ? matched_ == nth_ : random_.chance(probability_);
  refused_ += refused;
  return refused;
}

}  // namespace memsim::testing
