// SPDX-License-Identifier: Apache-2.0
#include <memsim/arch/cost_model.hpp>

#include <algorithm>
#include <limits>
#include <utility>

#include <memsim/core/error.hpp>

namespace memsim {
namespace {

std::size_t index_of(std::string_view counter) {
  const auto* const found = std::ranges::find(work_statistics, counter, &statistic<work>::name);
  if (found == work_statistics.end()) {
    std::string known;
    for (const auto& s : work_statistics) known += fmt::format(" {}", s.name);
    throw_usage("there is no work called \"{}\"; there is{}", counter, known);
  }
  return static_cast<std::size_t>(found - work_statistics.begin());
}

}  // namespace

cost_model& cost_model::set(std::string_view counter, picoseconds each, std::string source) {
  const auto i = index_of(counter);
  if (each.count() < 0) {
    throw_usage("price of {}: {} ps, where at least 0 is allowed", counter, each.count());
  }
  prices_[i] = {each, std::move(source)};
  return *this;
}

cost_model cost_model::named(std::string name) const {
  cost_model other = *this;
  other.name_ = std::move(name);
  return other;
}

const price& cost_model::of(std::string_view counter) const { return prices_[index_of(counter)]; }

picoseconds cost_model::price_of(const work& done) const {
  constexpr std::uint64_t most = std::numeric_limits<std::int64_t>::max();
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < prices_.size(); ++i) {
    const auto each = static_cast<std::uint64_t>(prices_[i].each.count());
    std::uint64_t product = 0;
    if (__builtin_mul_overflow(done.*work_statistics[i].member, each, &product) ||
        __builtin_add_overflow(total, product, &total) || total > most) {
      throw_usage("the price of a ledger in model \"{}\" is above {} ps, the most that is counted",
                  name_, most);
    }
  }
  return picoseconds{static_cast<std::int64_t>(total)};
}

std::string to_text(const cost_model& model, const work& done) {
  std::string text;
  for (std::size_t i = 0; i < work_statistics.size(); ++i) {
    const auto count = done.*work_statistics[i].member;
    const auto each = model.prices()[i].each;
    if (count == 0 || each.count() == 0) continue;
    text += fmt::format("{:>14} {:<22} {:>12.3f} us\n", count, work_statistics[i].name,
                        static_cast<double>(count) * static_cast<double>(each.count()) / 1e6);
  }
  return text + fmt::format("{:>14} {:<22} {:>12.3f} us\n", "", "together",
                            static_cast<double>(model.price_of(done).count()) / 1e6);
}

std::chrono::nanoseconds cost_meter::charge(const work& done) {
  // The total is the price of the ledger as a whole, rounded down: nothing is lost on the way.
  const auto total = std::chrono::floor<std::chrono::nanoseconds>(model_.price_of(done));
  if (total < total_) {
    throw_usage("a ledger of {} ns is charged after one of {} ns: it must only grow", total.count(),
                total_.count());
  }
  return total - std::exchange(total_, total);
}

}  // namespace memsim
