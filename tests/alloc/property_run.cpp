// SPDX-License-Identifier: Apache-2.0
#include "alloc/property_run.hpp"

#include <algorithm>
#include <array>
#include <functional>
#include <ostream>
#include <stdexcept>
#include <utility>

#include <rapidcheck.h>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <memsim/testing/invariants.hpp>

namespace memsim::properties {
namespace {

using namespace gfp_flag;

constexpr std::array mobilities{gfp{}, movable | highmem, reclaimable, movable, highmem};
constexpr std::array places{gfp{}, gfp{}, gfp{}, gfp{}, gfp{}, dma32, dma};
constexpr std::array rights{gfp{},
                            kswapd_reclaim,
                            high,
                            high | kswapd_reclaim,
                            gfp_atomic,
                            high | atomic,
                            atomic | kswapd_reclaim,
                            gfp_kernel,
                            gfp_kernel | high,
                            direct_reclaim | high | atomic,
                            kswapd_reclaim | zero | comp | nowarn};
constexpr unsigned flag_sets = mobilities.size() * places.size() * rights.size();

gfp flags_of(const operation& op) {
  return mobilities[op.flags % mobilities.size()] |
         rights[op.flags / mobilities.size() % rights.size()] |
         places[op.flags / mobilities.size() / rights.size() % places.size()];
}

constexpr std::array action_names{"allocate",    "free any",  "free newest",  "drain",
                                  "drain other", "drain all", "mark movable", "split",
                                  "adopt",       "misuse",    "fork",         "restore"};

}  // namespace

rc::Gen<operation> any_operation() {
  using namespace rc;
  return gen::resize(
      kNominalSize,
      gen::build<operation>(
          gen::set(&operation::what, gen::weightedElement<action>({{480, action::allocate},
                                                                   {250, action::free_any},
                                                                   {100, action::free_newest},
                                                                   {12, action::drain},
                                                                   {6, action::drain_other},
                                                                   {4, action::drain_all},
                                                                   {40, action::mark_movable},
                                                                   {20, action::split},
                                                                   {12, action::adopt},
                                                                   {30, action::misuse},
                                                                   {4, action::fork},
                                                                   {4, action::restore}})),
          gen::set(&operation::repeat,
                   gen::weightedOneOf<unsigned>({{8, gen::inRange(1u, 12u)},
                                                 {3, gen::inRange(12u, 70u)},
                                                 {1, gen::inRange(70u, 700u)}})),
          gen::set(&operation::order, gen::weightedOneOf<unsigned>({{8, gen::just(0u)},
                                                                    {4, gen::inRange(1u, 4u)},
                                                                    {1, gen::inRange(4u, 9u)},
                                                                    {1, gen::just(9u)},
                                                                    {1, gen::inRange(8u, 11u)}})),
          gen::set(&operation::flags, gen::inRange(0u, flag_sets)),
          gen::set(&operation::cpu, gen::inRange(0u, 4u)),
          gen::set(&operation::pick, gen::inRange(0u, 1u << 30))));
}

void showValue(const operation& op, std::ostream& out) {
  out << fmt::format("{} x{} order {} flags {:#x} cpu {} pick {}\n",
                     action_names[static_cast<unsigned>(op.what)], op.repeat, op.order,
                     flags_of(op).bits(), op.cpu, op.pick);
}

side_by_side::side_by_side(const machine& m, const page_allocator_config& config)
    : side_by_side{m, config, page_allocator{config}} {}

side_by_side::side_by_side(const machine& m, const page_allocator_config& config,
                           page_allocator booted)
    : side_by_side{config, begin(m, config, booted), std::move(booted)} {
  observed_ = m.observed;
  listen();
  fill(m.filled);
}

// With tweaks the allocator starts from a state, without from its boot.
side_by_side::side_by_side(const page_allocator_config& config, beginning start,
                           page_allocator booted)
    : memory_{std::move(booted)},
      model_{start.state, config.profile, config.settings},
      in_use_{std::move(start.in_use)} {
  if (start.state == memory_.state()) return;
  auto restored = page_allocator::restore(start.state, config.profile, config.settings);
  if (!restored) throw std::runtime_error{restored.error().message()};
  memory_ = std::move(*restored);
}

void side_by_side::listen() {
  if (observed_) memory_.add_observer(listener_);
}

// Large blocks that mostly stay, so that what is left is soon contested.
void side_by_side::fill(unsigned percent) {
  frame_count memory = 0;
  for (const auto& z : memory_.zones()) memory += z.extent.managed;
  constexpr std::array types{movable | highmem, gfp{}, movable | highmem, reclaimable};
  for (frame_count taken = 0; taken < memory * percent / 100;) {
    const auto keep = live_.size();
    const order size{taken % 5 == 0 ? 9u : 10u};
    allocate({.order = size.value(), .flags = 0, .pick = 0}, types[taken / 1024 % types.size()]);
    if (difference_ || live_.size() == keep) return;
    taken += size.frames();
    if (taken / 1024 % 8 != 0) live_.pop_back();
  }
}

void side_by_side::differ(std::string what) {
  if (!difference_) difference_ = fmt::format("call {}: {}", calls_, what);
}

// The stream of an operation's own choices.
std::uint32_t side_by_side::draw(std::uint64_t bound) {
  pick_state_ = pick_state_ * 6364136223846793005ULL + 1442695040888963407ULL;
  return static_cast<std::uint32_t>((pick_state_ >> 33) % bound);
}

context side_by_side::acting(const operation& op) const {
  return {.cpu = cpu_id{op.cpu % memory_.cpus()}};
}

void side_by_side::perform(const operation& op) {
  pick_state_ = op.pick;
  // Copies and misuses take long and gain nothing from being repeated hundreds of times.
  const unsigned most = op.what >= action::misuse ? 3 : op.what == action::allocate ? 700 : 500;
  for (unsigned i = 0; i < std::min(op.repeat, most) && !difference_; ++i) {
    ++calls_;
    perform_once(op);
  }
}

void side_by_side::perform_once(const operation& op) {
  auto ctx = acting(op);
  switch (op.what) {
    case action::allocate: return allocate(op, flags_of(op));
    case action::free_any:
      if (!live_.empty()) free_at(draw(live_.size()), op);
      return;
    case action::free_newest:
      if (!live_.empty()) free_at(live_.size() - 1, op);
      return;
    case action::drain: memory_.drain(ctx, ctx.cpu); return model_.drain(ctx.cpu, ctx.cpu);
    case action::drain_other: {
      const cpu_id owner{draw(memory_.cpus())};
      memory_.drain(ctx, owner);
      return model_.drain(owner, ctx.cpu);
    }
    case action::drain_all:
      memory_.drain_all(ctx);
      for (unsigned cpu = 0; cpu < memory_.cpus(); ++cpu) model_.drain(cpu_id{cpu}, ctx.cpu);
      return;
    case action::mark_movable: return mark_movable(op);
    case action::split: return split(op);
    case action::adopt: return adopt(op);
    case action::misuse: return misuse(op);
    case action::fork: return fork();
    case action::restore: return restore();
  }
}

void side_by_side::allocate(const operation& op, gfp flags) {
  auto ctx = acting(op);
  listener_.seen.clear();
  const auto block = memory_.alloc(ctx, order{op.order}, flags);
  const auto expected = model_.alloc(flags, order{op.order}, ctx.cpu);
  const auto text = [](std::optional<pfn> b) { return b ? to_text(*b) : "none"; };
  const auto got = block ? std::optional{*block} : std::nullopt;
  if (got != expected) {
    return differ(fmt::format("order {} flags {:#x} CPU {}: allocator gives {}, model {}", op.order,
                              flags.bits(), ctx.cpu, text(got), text(expected)));
  }
  if (!block && block.error().code() != errc::no_memory) {
    return differ("failed for another reason than memory: " + block.error().message());
  }
  if (observed_ && listener_.seen != model_.fallbacks()) {
    return differ(fmt::format("order {} flags {:#x} CPU {}: allocator falls back {}, model {}",
                              op.order, flags.bits(), ctx.cpu, fmt::join(listener_.seen, "; "),
                              fmt::join(model_.fallbacks(), "; ")));
  }
  if (block) live_.push_back({*block, order{op.order}});
}

void side_by_side::free_at(std::size_t index, const operation& op) {
  const auto [block, size] = live_[index];
  live_[index] = live_.back();
  live_.pop_back();
  auto ctx = acting(op);
  memory_.free(ctx, block, size);
  model_.free(block, size, ctx.cpu);
}

void side_by_side::mark_movable(const operation& op) {
  if (live_.empty()) return;
  const auto& target = live_[draw(live_.size())];
  const bool movable = draw(4) != 0;
  memory_.set_movable(target.block, static_cast<rule>(movable));
  model_.set_movable(target.block, movable);
  static_cast<void>(op);
}

void side_by_side::split(const operation& op) {
  if (live_.empty()) return;
  const auto index = draw(live_.size());
  const auto [block, from] = live_[index];
  const order to{std::min(from.value(), op.order)};
  // A block of single pages by the thousand would crowd out the others.
  if (from.value() - to.value() > 4) return;
  memory_.split(block, from, to);
  model_.split(block, from, to);
  live_[index].size = to;
  for (frame_count i = to.frames(); i < from.frames(); i += to.frames()) {
    live_.push_back({block + i, to});
  }
}

bool side_by_side::is_adoptable(pfn block, order size) const {
  const pfn end = block + size.frames();
  return std::ranges::none_of(adopted_, [&](const auto& other) {
    return block < other.block + other.size.frames() && other.block < end;
  });
}

void side_by_side::adopt(const operation& op) {
  if (in_use_.empty()) return;
  const auto& region = in_use_[draw(in_use_.size())];
  const order size{region.count % 1024 == 0 ? 8 + draw(3) : draw(op.order + 1)};
  const auto first = (region.first.value() + draw(region.count)) / size.frames() * size.frames();
  const pfn block{first};
  if (block < region.first || block + size.frames() > region.end()) return;
  if (!is_adoptable(block, size)) return;
  memory_.adopt(block, size);
  model_.adopt(block, size);
  adopted_.push_back({block, size});
  live_.push_back({block, size});
}

// Every one of these must throw usage_error and leave everything as it was.
void side_by_side::misuse(const operation& op) {
  auto ctx = acting(op);
  auto stranger = ctx;
  stranger.cpu = cpu_id{memory_.cpus() + draw(5)};
  const auto end = memory_.frames().end();
  const pfn beyond = end + draw(5000);
  const auto target = live_.empty() ? live_block{} : live_[draw(live_.size())];
  const order wrong{(target.size.value() + 1 + draw(10)) % 11};
  const order too_large{11 + draw(53)};

  std::vector<std::pair<const char*, std::function<void()>>> misuses{
      {"alloc above the largest order",
       [&] { static_cast<void>(memory_.alloc(ctx, too_large, flags_of(op))); }},
      {"alloc on a CPU that is not there",
       [&] { static_cast<void>(memory_.alloc(stranger, order{op.order}, flags_of(op))); }},
      {"alloc of both mobilities",
       [&] {
         static_cast<void>(
             memory_.alloc(ctx, order{op.order}, flags_of(op) | movable | reclaimable));
       }},
      {"free beyond the end", [&] { memory_.free(ctx, beyond, order{op.order}); }},
      {"free far beyond the end", [&] { memory_.free(ctx, pfn{1ULL << 50}, order{0}); }},
      {"drain of a CPU that is not there", [&] { memory_.drain(ctx, stranger.cpu); }},
      {"drain by a CPU that is not there", [&] { memory_.drain(stranger, ctx.cpu); }},
      {"drain_all by a CPU that is not there", [&] { memory_.drain_all(stranger); }},
      {"adopt beyond the end", [&] { memory_.adopt(beyond, order{0}); }},
      {"adopt above the largest order", [&] { memory_.adopt(pfn{0}, too_large); }},
      {"set_movable beyond the end", [&] { memory_.set_movable(beyond, rule::on); }},
  };
  for (const auto& region : in_use_) {
    if (is_adoptable(region.first, order{0})) {
      misuses.emplace_back("free of a frame that was never allocated",
                           [&, first = region.first] { memory_.free(ctx, first, order{0}); });
      misuses.emplace_back("adopt of a misaligned block", [&, first = region.first] {
        memory_.adopt(pfn{first.value() | 1}, order{1 + draw(9)});
      });
    }
  }
  if (!live_.empty()) {
    const auto free_as = [&](const char* name, pfn block, order size) {
      misuses.emplace_back(name, [&, block, size] { memory_.free(ctx, block, size); });
    };
    free_as("free with the wrong order", target.block, wrong);
    free_as("free with an order that is none", target.block, too_large);
    free_as("free of a frame 2^32 above", target.block + (1ULL << 32), target.size);
    if (target.size.value() < 32) {
      free_as("free with the order and 32 more", target.block, order{target.size.value() + 32});
    }
    if (target.size > order{0}) {
      const pfn inside = target.block + 1 + draw(target.size.frames() - 1);
      free_as("free of a frame inside a block", inside, order{0});
      free_as("free of a frame inside a block with its order", inside, target.size);
      misuses.emplace_back("set_movable inside a block",
                           [&, inside] { memory_.set_movable(inside, rule::on); });
      misuses.emplace_back("adopt inside a block",
                           [&, inside] { memory_.adopt(inside, order{0}); });
    }
    const auto split_as = [&](const char* name, pfn block, order from, order to) {
      misuses.emplace_back(name, [&, block, from, to] { memory_.split(block, from, to); });
    };
    split_as("split into larger blocks", target.block, target.size,
             order{target.size.value() + 1 + draw(5)});
    split_as("split of a block of another order", target.block, wrong, order{0});
    split_as("split of no block", beyond, order{op.order}, order{0});
    split_as("split with the order and 32 more", target.block, order{target.size.value() + 32},
             order{0});
    misuses.emplace_back("free on a CPU that is not there",
                         [&] { memory_.free(stranger, target.block, target.size); });
    misuses.emplace_back("adopt of a block", [&] { memory_.adopt(target.block, target.size); });

    // The newest block is given back for real, and then once more.
    const auto [freed, size] = live_.back();
    free_at(live_.size() - 1, op);
    free_as("free of a free block", freed, size);
    free_as("free of a frame of a free block", freed, order{0});
    misuses.emplace_back("adopt of a free block", [&, freed] { memory_.adopt(freed, order{0}); });
    misuses.emplace_back("set_movable of a free frame", [&, freed, size] {
      memory_.set_movable(freed + draw(size.frames()), rule::on);
    });
    // What was about that block is no misuse any more, or another one.
    if (freed == target.block) return;
  }

  const auto& [name, misuse] = misuses[draw(misuses.size())];
  const auto before = memory_.state_digest();
  try {
    misuse();
    differ(fmt::format("{} was accepted (block {} order {}, wrong {}, too large {}, beyond {})",
                       name, target.block, target.size, wrong, too_large, beyond));
  } catch (const usage_error& e) {
    if (std::string_view{e.what()}.empty()) differ(fmt::format("{}: no message", name));
  }
  if (memory_.state_digest() != before) differ(fmt::format("{} changed the state", name));
}

// The copy stays as it is while the original goes on, and then takes its place.
void side_by_side::fork() {
  page_allocator copy{memory_};
  const auto before = memory_.state_digest();
  if (copy.state_digest() != before) differ("a copy differs from its original");
  context ctx;
  for (unsigned i = 0; i < 30; ++i) {
    static_cast<void>(memory_.alloc(ctx, order{draw(11)}, movable | highmem));
  }
  if (copy.state_digest() != before) differ("a copy changes with its original");
  memory_ = copy;
  if (memory_.state_digest() != before) differ("an assigned copy differs");
  listen();
}

void side_by_side::restore() {
  const auto before = memory_.state_digest();
  auto restored = page_allocator::restore(memory_.state(), memory_.profile(), memory_.settings());
  if (!restored) return differ("its own state is refused: " + restored.error().message());
  if (restored->state_digest() != before) differ("a restored allocator differs");
  memory_ = std::move(*restored);
  listen();
}

void side_by_side::compare() {
  if (difference_) return;
  if (auto what = first_difference(memory_.state(), model_.state(), memory_.profile())) {
    return differ(std::move(*what));
  }
  const auto violations = testing::check_invariants(memory_);
  if (!violations.empty()) differ(fmt::format("invariants: {}", fmt::join(violations, "; ")));
}

namespace {

// What a profile does not use is not compared.
void normalise(pcp_state& set, const kernel_profile& profile) {
  if (profile.pcp == pcp_rule::fixed_high) {
    set.alloc_factor = set.free_count = 0;
  } else {
    set.free_factor = 0;
  }
  if (profile.pcp_notes_migratetype == rule::on) return;
  for (auto& list : set.lists) {
    for (auto& entry : list) entry.type = {};
  }
}

void normalise(allocator_state& state, const kernel_profile& profile) {
  for (auto& z : state.zones) {
    if (profile.highatomic == highatomic_deduction::reserved_pages) z.free_highatomic = 0;
    for (auto& set : z.cpus) normalise(set, profile);
    // The model's rules do not ask whether a block is compound.
    for (auto& block : z.allocated) block.compound = false;
  }
}

std::string text_of(const std::vector<pfn>& blocks) {
  constexpr std::size_t most = 12;
  const auto shown = std::min(blocks.size(), most);
  return fmt::format("{} blocks: {}{}", blocks.size(),
                     fmt::join(blocks.begin(), blocks.begin() + static_cast<long>(shown), " "),
                     shown < blocks.size() ? " ..." : "");
}

std::optional<std::string> first_difference(const pcp_state& a, const pcp_state& b) {
  const auto number = [](const char* name, auto x, auto y) -> std::optional<std::string> {
    if (x == y) return std::nullopt;
    return fmt::format("{}: allocator {}, model {}", name, x, y);
  };
  const std::array differences{
      number("count", a.count, b.count),
      number("high", a.high, b.high),
      number("batch", a.batch, b.batch),
      number("free_factor", a.free_factor, b.free_factor),
      number("high_min", a.high_min, b.high_min),
      number("high_max", a.high_max, b.high_max),
      number("alloc_factor", a.alloc_factor, b.alloc_factor),
      number("free_count", a.free_count, b.free_count),
      number("previous_free_high_order", a.previous_free_high_order, b.previous_free_high_order),
      number("free_high_batch", a.free_high_batch, b.free_high_batch),
      number("pending free", a.pending.free, b.pending.free),
      number("pending CMA", a.pending.cma, b.pending.cma)};
  for (const auto& d : differences) {
    if (d) return d;
  }
  for (unsigned list = 0; list < pcp_lists; ++list) {
    if (a.lists[list] != b.lists[list]) {
      return fmt::format("per-CPU list {}: allocator {} entries, model {}", list,
                         a.lists[list].size(), b.lists[list].size());
    }
  }
  return std::nullopt;
}

std::optional<std::string> first_difference(const zone_state& a, const zone_state& b) {
  for (unsigned o = 0; o < page_orders; ++o) {
    for (unsigned type = 0; type < migratetypes; ++type) {
      if (a.free_lists[o][type] != b.free_lists[o][type]) {
        return fmt::format("list {} of order {}: allocator {}; model {}",
                           static_cast<migratetype>(type), o, text_of(a.free_lists[o][type]),
                           text_of(b.free_lists[o][type]));
      }
    }
  }
  for (std::size_t i = 0; i < a.pageblocks.size(); ++i) {
    if (a.pageblocks[i] != b.pageblocks[i]) {
      const auto text = [](auto type) { return type ? to_text(*type) : "hole"; };
      return fmt::format("pageblock {}: allocator {}, model {}", i, text(a.pageblocks[i]),
                         text(b.pageblocks[i]));
    }
  }
  for (std::size_t cpu = 0; cpu < a.cpus.size(); ++cpu) {
    if (auto d = first_difference(a.cpus[cpu], b.cpus[cpu])) {
      return fmt::format("CPU {}: {}", cpu, *d);
    }
  }
  const auto number = [](const char* name, auto x, auto y) -> std::optional<std::string> {
    if (x == y) return std::nullopt;
    return fmt::format("{}: allocator {}, model {}", name, x, y);
  };
  const std::array differences{
      number("free", a.free_pages, b.free_pages),
      number("free CMA", a.free_cma, b.free_cma),
      number("boost", a.boost, b.boost),
      number("reserved highatomic", a.reserved_highatomic, b.reserved_highatomic),
      number("free highatomic", a.free_highatomic, b.free_highatomic),
      number("boosted", a.boosted, b.boosted),
      number("below high", a.below_high, b.below_high)};
  for (const auto& d : differences) {
    if (d) return d;
  }
  if (a.movable_in_use != b.movable_in_use) {
    return fmt::format("movable in use: allocator {}; model {}", text_of(a.movable_in_use),
                       text_of(b.movable_in_use));
  }
  if (a.allocated != b.allocated) {
    return fmt::format("allocated: allocator {} blocks, model {}", a.allocated.size(),
                       b.allocated.size());
  }
  if (a != b) return "something else";
  return std::nullopt;
}

}  // namespace

std::optional<std::string> first_difference(allocator_state allocator, allocator_state model,
                                            const kernel_profile& profile) {
  normalise(allocator, profile);
  normalise(model, profile);
  if (allocator.zones.size() != model.zones.size()) return "number of zones";
  for (std::size_t i = 0; i < model.zones.size(); ++i) {
    if (auto d = first_difference(allocator.zones[i], model.zones[i])) {
      return fmt::format("zone {}: {}", model.zones[i].extent.type, *d);
    }
  }
  if (allocator != model) return "something else";
  return std::nullopt;
}

}  // namespace memsim::properties
