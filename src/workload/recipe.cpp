// SPDX-License-Identifier: Apache-2.0
#include <memsim/workload/recipe.hpp>

#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/ranges.h>

#include <memsim/alloc/page_allocator.hpp>
#include <memsim/core/text.hpp>

#include "workload/recipe_memory.hpp"

namespace memsim {
namespace {

using detail::recipe_entry;
using detail::turn_end;

constexpr std::array entries{&detail::build_farm,       &detail::fill_shuffle_free,
                             &detail::huge_page_churn,  &detail::memory_pressure,
                             &detail::network_server,   &detail::order_mixed_churn,
                             &detail::page_cache_churn, &detail::unmovable_burst};

const recipe_entry* find_entry(std::string_view name) {
  const auto found =
      std::ranges::find(entries, name, [](const recipe_entry* e) { return e->description.name; });
  return found == entries.end() ? nullptr : *found;
}

std::vector<std::string_view> names_of(std::span<const recipe_parameter> parameters) {
  std::vector<std::string_view> names;
  for (const auto& p : parameters) names.push_back(p.name);
  return names;
}

std::expected<void, error> within(std::string_view name, double value, double least, double most) {
  if (value >= least && value <= most) return {};
  return fail(errc::inconsistent, "{} {} is out of range: allowed are {} to {}", name, value, least,
              most);
}

std::expected<void, error> check_parameter(const recipe& r, std::string_view name, double value) {
  const auto known = std::ranges::find(r.parameters, name, &recipe_parameter::name);
  if (known == r.parameters.end()) {
    return fail(errc::inconsistent, "recipe {} has no parameter \"{}\"; there are {}", r.name,
                escaped(name, 80), fmt::join(names_of(r.parameters), ", "));
  }
  const auto full = fmt::format("{}.{}", r.name, name);
  if (known->whole == rule::on && std::floor(value) != value) {
    return fail(errc::inconsistent, "{} {} is not a whole number", full, value);
  }
  return within(full, value, known->least, known->most);
}

std::expected<void, error> run_course(detail::recipe_memory& memory) {
  const auto course = find_entry(memory.plan().recipe)->begin(memory);
  for (;;) {
    const auto at = course->turn();
    if (!at) return std::unexpected{at.error()};
    if (*at == turn_end::is_over || (*at == turn_end::may_end && memory.aged())) break;
  }
  course->end();
  return {};
}

}  // namespace

std::span<const recipe> recipes() {
  static const auto all = [] {
    std::array<recipe, entries.size()> list{};
    std::ranges::transform(entries, list.begin(), &recipe_entry::description);
    return list;
  }();
  return all;
}

std::expected<recipe, error> find_recipe(std::string_view name) {
  if (const auto* entry = find_entry(name)) return entry->description;
  std::vector<std::string_view> names;
  for (const auto& r : recipes()) names.push_back(r.name);
  return fail(errc::unsupported, "no recipe \"{}\"; there are {}", escaped(name, 80),
              fmt::join(names, ", "));
}

std::expected<void, error> check(const ageing_plan& plan) {
  const auto found = find_recipe(plan.recipe);
  if (!found) return std::unexpected{found.error()};
  for (const auto& n : ageing_numbers) {
    if (auto ok = within(n.name, plan.*n.member, n.least, n.most); !ok) return ok;
  }
  for (const auto& [name, value] : plan.parameters) {
    if (auto ok = check_parameter(*found, name, value); !ok) return ok;
  }
  return {};
}

std::expected<ageing_counts, error> age(machine& m, const ageing_plan& plan) {
  if (auto ok = check(plan); !ok) return std::unexpected{ok.error()};
  detail::recipe_memory memory{m, plan};
  if (auto ran = run_course(memory); !ran) return std::unexpected{ran.error()};
  if (auto settled = memory.settle(); !settled) return std::unexpected{settled.error()};
  return memory.counts();
}

class recipe_load::impl {
 public:
  impl(machine& on, const ageing_plan& plan)
      : memory_{on, at_occupancy(plan), detail::recipe_memory::time::passes},
        course_{find_entry(memory_.plan().recipe)->begin(memory_)} {}

  std::expected<frame_count, error> turn() {
    const auto before = memory_.allocated();
    if (auto done = course_->turn(); !done) return std::unexpected{done.error()};
    return memory_.allocated() - before;
  }
  [[nodiscard]] ageing_counts counts() const { return memory_.counts(); }

 private:
  static ageing_plan at_occupancy(ageing_plan plan) {
    plan.peak = plan.occupancy;
    return plan;
  }

  detail::recipe_memory memory_;
  std::unique_ptr<detail::recipe_course> course_;
};

recipe_load::recipe_load(machine& on, const ageing_plan& plan) {
  if (const auto ok = check(plan); !ok) throw_usage("{}", ok.error());
  impl_ = std::make_unique<impl>(on, plan);
}
recipe_load::~recipe_load() = default;

std::expected<frame_count, error> recipe_load::turn() { return impl_->turn(); }
ageing_counts recipe_load::counts() const { return impl_->counts(); }

used_blocks blocks_in_use(const page_allocator& memory) {
  used_blocks blocks;
  for (const auto& z : memory.state().zones) {
    auto movable = z.movable_in_use.begin();
    for (const auto& block : z.allocated) {
      while (movable != z.movable_in_use.end() && *movable < block.block) ++movable;
      const bool is_movable = movable != z.movable_in_use.end() && *movable == block.block;
      (is_movable ? blocks.movable : blocks.unmovable).push_back(block);
    }
  }
  return blocks;
}

}  // namespace memsim
