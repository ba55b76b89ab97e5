// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The last experiment of thp_cow: processes that do all of it at random.

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include <memsim/core/random.hpp>

#include "thp_cow_cases.hpp"

namespace thp_cow {

// (d) Processes that fork, write, unmap, move, protect and pin at random. What they do is the same
// under all rules.
struct mix_outcome {
  frame_count pinned = 0;
  frame_count unmapped = 0;    // pins whose owner unmapped, discarded or moved the page
  frame_count after_fork = 0;  // lost otherwise, when the owner had forked since
  frame_count otherwise = 0;   // lost otherwise, when it had not
  std::uint64_t false_copies = 0;
  std::uint64_t copies = 0;
  std::uint64_t stolen = 0;
  double mean_wasted = 0;
  frame_count wasted = 0;  // at the end
  frame_count kept = 0;    // of these, after the shrinker
  double us = 0;
};

class random_mix {
 public:
  explicit random_mix(const cow_rules& rules) : lab_{rules} {
    processes_[0] = &lab_.vm.add_process();
  }

  mix_outcome run(unsigned steps) {
    frame_count wasted = 0;
    for (unsigned i = 0; i < steps; ++i) {
      step();
      wasted += lab_.wasted();
    }
    const auto& faults = lab_.vm.faults();
    end_.us = lab_.microseconds();
    end_.false_copies = faults.needless_copies;
    end_.copies = faults.copies + huge * faults.huge_copies + faults.fork_copies;
    end_.stolen = faults.lost_mappings;
    end_.mean_wasted = static_cast<double>(wasted) / steps;
    while (!pins_.empty()) release(0);
    end_.wasted = lab_.wasted();
    lab_.vm.shrink(lab_.m.cpu(0));
    end_.kept = lab_.wasted();
    return end_;
  }

 private:
  struct pinned {
    address_space* owner;
    vpn first;
    std::vector<held_page> pages;
    std::vector<held_page> watched = pages;  // none: lost, and counted
    bool has_forked = false;
  };
  enum class deed { unmaps, other };
  static constexpr std::uint64_t regions = 6;
  static constexpr std::size_t most_pins = 12;
  static constexpr vpn region_at(std::uint64_t number) { return vpn{(number + 1) * 4 * huge}; }

  void step();
  void act(std::uint64_t dice, address_space& process, vpn first, frame_count count, vpn elsewhere);
  void fork(address_space& process, std::size_t child);
  void exit(std::size_t number);
  void release(std::size_t number);
  void look_after_pins(const address_space& process, deed done);

  laboratory lab_;
  random_stream random_{1, "thp_cow"};
  std::array<address_space*, 4> processes_{};
  std::vector<pinned> pins_;
  context* cpu_ = nullptr;
  mix_outcome end_;
};

// Everything is drawn first, so that what happens does not change what is drawn.
inline void random_mix::step() {
  const auto dice = random_.below(100);
  const auto who = static_cast<std::size_t>(random_.below(processes_.size()));
  const auto other = static_cast<std::size_t>(random_.below(processes_.size()));
  const auto region = random_.below(regions);
  const auto to_region = random_.below(regions);
  const bool lower = random_.chance(0.5);
  const bool by_halves = random_.chance(0.5);
  const auto from = by_halves ? (lower ? 0 : half) : random_.below(huge);
  const auto most = by_halves ? half : std::min(huge - from, 1 + random_.below(64));
  cpu_ = &lab_.m.cpu(static_cast<unsigned>(random_.below(2)));
  if (processes_[who] == nullptr) return;
  auto& process = *processes_[who];
  if (dice < 5) {
    if (processes_[other] == nullptr) fork(process, other);
  } else if (dice < 8) {
    if (other != who && processes_[other] != nullptr) exit(who);
  } else if (dice < 16) {
    if (!pins_.empty()) release(region % pins_.size());
  } else {
    act(dice, process, region_at(region) + from, most, region_at(to_region) + from);
  }
}

inline void random_mix::act(std::uint64_t dice, address_space& process, vpn first,
                            frame_count count, vpn elsewhere) {
  // What is refused because nothing is mapped there is refused under all rules.
  auto done = deed::other;
  if (dice < 22) {
    done = deed::unmaps;
    static_cast<void>(
        process.mmap(*cpu_, huge, {.advice = thp_advice::huge, .at = first.base(page_size::m2)}));
  } else if (dice < 27) {
    done = deed::unmaps;
    static_cast<void>(process.munmap(*cpu_, first, count));
  } else if (dice < 30) {
    done = deed::unmaps;
    static_cast<void>(process.discard(*cpu_, first, count));
  } else if (dice < 33) {
    done = deed::unmaps;
    static_cast<void>(process.mremap(*cpu_, first, count, elsewhere));
  } else if (dice < 45) {
    static_cast<void>(process.mprotect(*cpu_, first, count, protection::read));
    static_cast<void>(process.mprotect(*cpu_, first, count, protection::read_write));
  } else if (dice < 60) {
    if (pins_.size() == most_pins) return;
    auto pages = process.hold(*cpu_, first, std::min<frame_count>(count, 64), device_pin);
    if (!pages) return;
    end_.pinned += pages->size();
    pins_.push_back({.owner = &process, .first = first, .pages = std::move(*pages)});
  } else {
    for (frame_count i = 0; i < std::min<frame_count>(count, 32); ++i) {
      static_cast<void>(process.write(*cpu_, first + i, ++lab_.version));
    }
  }
  look_after_pins(process, done);
}

inline void random_mix::fork(address_space& process, std::size_t child) {
  processes_[child] = process.fork(*cpu_).value();
  for (auto& p : pins_) p.has_forked = p.has_forked || p.owner == &process;
  look_after_pins(process, deed::other);
}

inline void random_mix::exit(std::size_t number) {
  auto& process = *processes_[number];
  for (auto& p : pins_) {
    if (p.owner != &process) continue;
    end_.unmapped += static_cast<frame_count>(
        std::ranges::count_if(p.watched, [](const held_page& h) { return h.page.has_value(); }));
    p.owner = nullptr;
  }
  lab_.vm.exit(*cpu_, process);
  processes_[number] = nullptr;
}

inline void random_mix::release(std::size_t number) {
  lab_.vm.release(lab_.m.cpu(0), pins_[number].pages, hold_kind::pin);
  pins_.erase(pins_.begin() + static_cast<std::ptrdiff_t>(number));
}

inline void random_mix::look_after_pins(const address_space& process, deed done) {
  for (auto& p : pins_) {
    if (p.owner != &process) continue;
    for (frame_count i = 0; i < p.watched.size(); ++i) {
      auto& page = p.watched[i].page;
      if (!page || process.translate(p.first + i) == page) continue;
      page.reset();
      ++(done == deed::unmaps ? end_.unmapped : p.has_forked ? end_.after_fork : end_.otherwise);
    }
  }
}

}  // namespace thp_cow
