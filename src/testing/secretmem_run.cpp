// SPDX-License-Identifier: Apache-2.0
#include "testing/secretmem_run.hpp"

#include <algorithm>
#include <array>

namespace memsim::testing {
namespace {

// After these every page is where it was, in the same file. Others may end a file or put another
// in its place.
constexpr std::array<std::string_view, 13> leave_pages{
    "touch",   "fill",    "writefrom", "vmreadv", "vmwritev", "vmsplice", "iouring",
    "guptest", "procmem", "rlimit",    "status",  "noise",    "quiet"};

split_counts splits_between(const recorded_mappings& before, const recorded_mappings& after) {
  return {.m2 = after.m2_splits - before.m2_splits, .g1 = after.g1_splits - before.g1_splits};
}

// By D5. Modulo 2^64: what is impossible comes out as no kernel counts it.
recorded_mappings with_splits(const recorded_mappings& before, const split_counts& splits) {
  return {.k4 = before.k4 + splits.m2 * page_table_entries,
          .m2 = before.m2 + splits.g1 * page_table_entries - splits.m2,
          .g1 = before.g1 - splits.g1,
          .m2_splits = before.m2_splits + splits.m2,
          .g1_splits = before.g1_splits + splits.g1};
}

std::string text_of(const recorded_mappings& c) {
  return fmt::format("4k={} 2M={} 1G={} l2={} l3={}", c.k4, c.m2, c.g1, c.m2_splits, c.g1_splits);
}

// The first `count` of the pages.
page_range first_of(const page_range& pages, std::uint64_t count) {
  return page_range{pages.lower(), pages.lower() + count};
}

}  // namespace

// A page that splits an entry of 1 GiB splits the one of 2 MiB below, too.
bool secretmem_run::split_bounds::allow(const split_counts& splits) const {
  const bool enough = least.m2 <= splits.m2 && least.g1 <= splits.g1;
  const bool too_many = splits.m2 > most.m2 || splits.g1 > most.g1;
  return enough && !too_many && splits.g1 <= splits.m2;
}

std::expected<void, error> secretmem_run::follow(const secretmem_step& step, std::uint64_t line,
                                                 golden_score& score) {
  const auto before = run_.counters();
  if (step.frame) {
    const auto done = run_.change(*step.frame, 1, make_invalid, change_calls::per_page);
    if (!done) return done;
  }
  const auto here = splits_between(before, run_.counters());
  const auto bounds = bounds_of(step, before, here);
  note_pages(step);

  if (bounds.are_exact()) {
    if (bounds.least != here) settle(with_splits(before, bounds.least), bounds.least, here);
    score.compare(line, text_of(step.counters), text_of(run_.counters()));
    return {};
  }
  const auto recorded = splits_between(before, step.counters);
  if (bounds.allow(recorded) && step.counters == with_splits(before, recorded)) {
    settle(step.counters, recorded, here);
    score.adopt();
    return {};
  }
  score.compare(line, text_of(step.counters),
                fmt::format("{}, then {} to {} splits of 2M and {} to {} of 1G", text_of(before),
                            bounds.least.m2, bounds.most.m2, bounds.least.g1, bounds.most.g1));
  return {};
}

secretmem_run::split_bounds secretmem_run::bounds_of(const secretmem_step& step,
                                                     const recorded_mappings& before,
                                                     const split_counts& here) const {
  if (step.frame) return bounds_of_touch(step.pages, here);
  if (step.operation == "fill" || step.operation == "writefrom") {
    return bounds_of_unnamed(step, before);
  }
  return {};
}

// If the frame lies in an entry that is large here, that may be one of those split unseen.
secretmem_run::split_bounds secretmem_run::bounds_of_touch(const page_range& page,
                                                           const split_counts& here) const {
  // A page that was there before has split what it splits.
  if (boost::icl::contains(present_, page) && here.m2 <= unplaced_.m2 && here.g1 <= unplaced_.g1) {
    return {};
  }
  split_bounds bounds{.least = here, .most = here};
  bounds.least.g1 -= std::min(here.g1, unplaced_.g1);
  if (bounds.least.g1 == 0) bounds.least.m2 -= std::min(here.m2, unplaced_.m2);
  return bounds;
}

// Each new page splits one entry of a size at most. A fill's pages are all in use at its end, each
// in a 4 KiB entry of its own.
secretmem_run::split_bounds secretmem_run::bounds_of_unnamed(
    const secretmem_step& step, const recorded_mappings& before) const {
  const auto reached = step.done.value_or(boost::icl::cardinality(step.pages));
  const auto old = boost::icl::cardinality(present_ & first_of(step.pages, reached));
  const auto fresh = reached - old;
  const auto held = step.done.value_or(0);
  const auto lacking = held > before.k4 ? held - before.k4 : 0;
  return {.least = {.m2 = (lacking + page_table_entries - 1) / page_table_entries},
          .most = {.m2 = fresh, .g1 = std::min(fresh, before.g1)}};
}

void secretmem_run::note_pages(const secretmem_step& step) {
  if (std::ranges::find(leave_pages, step.operation) == leave_pages.end()) present_.clear();
  if (step.frame) present_.add(step.pages);
  if (step.done) present_.add(first_of(step.pages, *step.done));
}

// The kernel did `splits` where the map did those `here`.
void secretmem_run::settle(const recorded_mappings& after, const split_counts& splits,
                           const split_counts& here) {
  run_.assume(after);
  unplaced_.m2 += splits.m2 - here.m2;
  unplaced_.g1 += splits.g1 - here.g1;
}

digest secretmem_run::state_digest() const {
  digest d;
  d.add(run_.state_digest().value());
  const auto c = run_.counters();
  for (const auto count : {c.k4, c.m2, c.g1, c.m2_splits, c.g1_splits}) d.add(count);
  return d;
}

}  // namespace memsim::testing
