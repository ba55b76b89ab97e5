// SPDX-License-Identifier: Apache-2.0
#include <memsim/core/random.hpp>

#include <boost/random/exponential_distribution.hpp>
#include <boost/random/uniform_int_distribution.hpp>

#include <memsim/core/digest.hpp>
#include <memsim/core/error.hpp>

namespace memsim {

random_stream::random_stream(std::uint64_t seed, std::string_view name)
    : engine_{digest{}.add(seed).add(name).value()} {}

std::uint64_t random_stream::below(std::uint64_t bound) {
  if (bound == 0) throw_usage("random_stream::below(0): the bound must be at least 1");
  return boost::random::uniform_int_distribution<std::uint64_t>{0, bound - 1}(engine_);
}

double random_stream::unit() { return static_cast<double>(engine_() >> 11) * 0x1p-53; }

// By a table: of the functions that C libraries round differently it asks none but next to never.
double random_stream::exponential() {
  return boost::random::exponential_distribution<double>{}(engine_);
}

bool random_stream::chance(double probability) {
  if (!(probability >= 0 && probability <= 1)) {
    throw_usage("probability {} is not between 0 and 1", probability);
  }
  return unit() < probability;
}

}  // namespace memsim
