// SPDX-License-Identifier: Apache-2.0
#include <memsim/metrics/scenario_run.hpp>

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include <memsim/alloc/page_allocator.hpp>
#include <memsim/metrics/experiment.hpp>
#include <memsim/metrics/fragmentation.hpp>

namespace memsim {
namespace {

struct aged_machine {
  machine aged;
  ageing_counts counts;
};

std::expected<aged_machine, error> make_and_age(const scenario& s) try {
  machine m{s.machine};
  ageing_counts done;
  if (s.ageing) {
    const auto counts = age(m, *s.ageing);
    if (!counts) return std::unexpected{counts.error()};
    done = *counts;
  }
  return aged_machine{.aged = std::move(m), .counts = done};
} catch (const usage_error& e) {
  // The configuration came from a file: what is wrong with it is no bug of the caller.
  return fail(errc::inconsistent, "{}", e.what());
}

/// A row while it is written.
class row {
 public:
  template <class Value>
  void add(std::string name, std::string_view unit, std::string description, Value value) {
    values_.push_back(
        {std::move(name), std::string{unit}, std::move(description), std::move(value)});
  }
  void add(const std::vector<statistic_value>& statistics) {
    for (const auto& s : statistics) add(s.name, s.unit, std::string{s.description}, s.value);
  }
  [[nodiscard]] std::vector<result_value> take() { return std::move(values_); }

 private:
  std::vector<result_value> values_;
};

void add_identity(row& r, const scenario& s, const machine& m) {
  r.add("recipe", "", "how the machine was aged", s.ageing ? s.ageing->recipe : "none");
  r.add("profile", "", "the kernel whose rules were followed",
        std::string{m.config().profile.name});
  r.add("seed", "", "of every random stream", m.config().seed);
  r.add("digest", "", "of the machine's state at the end", to_text(m.state_digest()));
}

void add_frames(row& r, const frame_totals& f) {
  r.add("memory", "pages", "frames with memory", f.memory);
  r.add("free", "pages", "frames on free lists", f.free);
  r.add("per_cpu", "pages", "frames on per-CPU lists", f.per_cpu);
  r.add("movable", "pages", "frames in use that can be moved", f.movable);
  r.add("unmovable", "pages", "frames in use that cannot be moved", f.unmovable);
}

void add_free_space(row& r, const order_counts& blocks) {
  for (unsigned o = 0; o < page_orders; ++o) {
    r.add(fmt::format("free_blocks_order_{}", o), "blocks",
          fmt::format("free blocks of 2^{} frames", o), blocks[o]);
  }
  for (unsigned o = 0; o < page_orders; ++o) {
    r.add(fmt::format("unusable_order_{}", o), "1",
          fmt::format("part of free memory in blocks below 2^{} frames", o),
          unusable_fraction(blocks, order{o}));
  }
  for (unsigned o = 0; o < page_orders; ++o) {
    r.add(fmt::format("fragmentation_order_{}", o), "1",
          fmt::format("fragmentation index for 2^{} frames; -1: a request would not fail", o),
          *fragmentation_fraction(blocks, order{o}));
  }
}

std::string lower_case(std::string_view name) {
  std::string text{name};
  std::ranges::transform(text, text.begin(), [](char c) {
    return 'A' <= c && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return text;
}

void add_pageblocks(row& r, const fragmentation& v) {
  for (const auto type : all_migratetypes) {
    const auto name = lower_case(name_of(type));
    r.add(fmt::format("pageblocks_{}", name), "blocks", fmt::format("pageblocks of type {}", name),
          v.pageblocks[static_cast<unsigned>(type)]);
  }
  r.add("mixed_pageblocks", "blocks", "pageblocks with movable and unmovable frames in use",
        v.mixed.both);
  r.add("movable_pageblocks_with_unmovable", "blocks",
        "pageblocks of type movable or CMA with an unmovable frame in use",
        v.mixed.movable_with_unmovable);
  r.add("other_pageblocks_with_movable", "blocks",
        "pageblocks of another type with a movable frame in use", v.mixed.other_with_movable);
}

void add_large_blocks(row& r, const fragmentation& v) {
  constexpr std::array<std::string_view, large_block_orders.size()> sizes{"2MiB", "32MiB", "1GiB"};
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    const auto& b = v.large[i];
    const auto add = [&](std::string_view what, std::string_view unit, std::string_view sentence,
                         auto value) {
      r.add(fmt::format("{}_{}", sizes[i], what), unit,
            fmt::format("aligned blocks of {} that {}", sizes[i], sentence), value);
    };
    add("with_memory", "blocks", "hold memory", b.with_memory);
    add("with_unmovable", "blocks", "hold an unmovable frame in use", b.with_unmovable);
    add("free_now", "blocks", "are free", b.free_now);
    add("free_if_moved", "blocks", "would be free if every movable page were moved",
        b.free_if_moved);
    add("allocatable", "1", "are free, as a part of memory",
        share_of(b.free_now, b.size, v.frames.memory));
    add("allocatable_if_moved", "1",
        "would be free if every movable page were moved, as a part of memory",
        share_of(b.free_if_moved, b.size, v.frames.memory));
  }
}

void add_runs(row& r, const free_runs& runs) {
  r.add("longest_free_run", "pages", "longest stretch of free frames", runs.longest);
  for (unsigned k = 0; k < run_orders; ++k) {
    r.add(fmt::format("free_in_runs_of_2_to_{}", k), "1",
          fmt::format("part of the free frames in runs of at least 2^{}", k), runs.share_in(k));
  }
}

}  // namespace

std::string to_text(const result_value& v) {
  const auto value =
      std::visit([](const auto& found) { return fmt::format("{}", found); }, v.value);
  return v.unit.empty() ? fmt::format("{} {}", v.name, value)
                        : fmt::format("{} {} {}", v.name, value, v.unit);
}

const result_value& scenario_result::at(std::string_view name) const {
  const auto found = std::ranges::find(values, name, &result_value::name);
  if (found == values.end()) throw_usage("a result has no value \"{}\"", name);
  return *found;
}

std::expected<machine, error> make_aged_machine(const scenario& s) {
  auto made = make_and_age(s);
  if (!made) return std::unexpected{std::move(made).error()};
  return std::move(made->aged);
}

std::expected<scenario_result, error> run_scenario(const scenario& s) {
  if (!s.actors.empty()) {
    const auto results = run_experiment(s);
    if (!results) return std::unexpected{results.error()};
    return scenario_result{values_of(*results)};
  }
  const auto made = make_and_age(s);
  if (!made) return std::unexpected{made.error()};
  const auto now = measure(made->aged.memory()).machine;
  row r;
  add_identity(r, s, made->aged);
  add_frames(r, now.frames);
  add_free_space(r, total_by_order(now.free_blocks));
  add_pageblocks(r, now);
  add_large_blocks(r, now);
  add_runs(r, now.runs);
  r.add(values_of(made->counts, ageing_statistics));
  r.add(made->aged.statistics());
  return scenario_result{r.take()};
}

}  // namespace memsim
