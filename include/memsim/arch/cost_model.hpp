// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// What work costs: the one place where counts become time.
///
///     const auto bill = default_costs().price_of(ctx.done);   // exact, in picoseconds
///
/// A ledger can be priced as often as one likes, with as many models; nothing is run again.

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <memsim/core/work.hpp>

namespace memsim {

/// The unit of prices: fine enough for a cycle's fraction, and 106 days fit.
using picoseconds = std::chrono::duration<std::int64_t, std::pico>;

/// What one unit of one kind of work costs.
struct price {
  picoseconds each{};
  std::string source{};  ///< who measured it, or "modelling assumption: ..."

  friend bool operator==(const price&, const price&) = default;
};

/// A price for every counter of the ledger, free until set.
class cost_model {
 public:
  cost_model() = default;
  explicit cost_model(std::string name) : name_{std::move(name)} {}

  /// \param counter  a name of work_statistics, for example "pages_zeroed"
  /// \param each     not negative
  /// \throws usage_error if there is no such counter or the price is negative
  cost_model& set(std::string_view counter, picoseconds each, std::string source);

  /// The same prices under another name.
  [[nodiscard]] cost_model named(std::string name) const;

  [[nodiscard]] const std::string& name() const { return name_; }
  /// In the order of work_statistics.
  [[nodiscard]] const std::array<price, work_statistics.size()>& prices() const { return prices_; }
  /// \throws usage_error if there is no such counter
  [[nodiscard]] const price& of(std::string_view counter) const;

  /// Exact: the price of a sum of ledgers is the sum of their prices.
  /// \throws usage_error if it is more than picoseconds can count
  [[nodiscard]] picoseconds price_of(const work& done) const;

  friend bool operator==(const cost_model&, const cost_model&) = default;

 private:
  std::string name_;
  std::array<price, work_statistics.size()> prices_{};
};

/// A bill, a line for each kind of work that was done and costs something.
[[nodiscard]] std::string to_text(const cost_model& model, const work& done);

/// Turns a growing ledger into simulated time, in whole nanoseconds. What is left of a nanosecond
/// is carried to the next charge, so that however often a ledger is charged, the sum is the same.
class cost_meter {
 public:
  explicit cost_meter(cost_model model) : model_{std::move(model)} {}

  /// The time for what was done since the last charge.
  /// \param done  a ledger that only grows; by the same one at each call
  [[nodiscard]] std::chrono::nanoseconds charge(const work& done);

  /// Goes on where another meter has charged so much of the ledger.
  void resume(std::chrono::nanoseconds charged) { total_ = charged; }

  [[nodiscard]] const cost_model& model() const { return model_; }
  /// Charged so far.
  [[nodiscard]] std::chrono::nanoseconds total() const { return total_; }

 private:
  cost_model model_;
  std::chrono::nanoseconds total_{};
};

/// A server of about 2020. Each figure has its source beside it in `src/arch/cost_presets.cpp`.
[[nodiscard]] const cost_model& default_costs();

/// Nothing costs anything: for tests that look at counts alone.
[[nodiscard]] const cost_model& no_costs();

}  // namespace memsim
