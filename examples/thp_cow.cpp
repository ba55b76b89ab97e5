// SPDX-License-Identifier: Apache-2.0

/// \file
/// Whose is a huge page when one of its users writes?
///
/// In 2016 Linux 4.5 was found to copy pages that a device was writing to, and two ways to mend it
/// were argued about. Here each way that kernels have decided it since is put through what was
/// argued with: a virtual machine with an assigned device, a huge page of which two processes have
/// one half each, a fork while a device writes, and processes that do all of it at random.
/// docs/policies/thp-cow.md tells what comes of it.

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "thp_cow_cases.hpp"
#include "thp_cow_mix.hpp"

using namespace thp_cow;

namespace {

constexpr unsigned mix_steps = 10'000;

// What came of one experiment under all rules.
template <class Outcome>
class outcomes {
 public:
  template <class Run>
  explicit outcomes(Run run) {
    for (const auto& rules : all_cow_rules) each_.push_back(run(rules));
  }
  [[nodiscard]] const Outcome& of(const cow_rules& rules) const {
    return each_[static_cast<std::size_t>(std::ranges::find(all_cow_rules, rules) -
                                          all_cow_rules.begin())];
  }

 private:
  std::vector<Outcome> each_;
};

struct results {
  outcomes<guest_outcome> logged{[](auto& r) { return run_guest(r, disturbance::write_logging); }};
  outcomes<guest_outcome> helped{[](auto& r) { return run_guest(r, disturbance::helper); }};
  outcomes<halves_outcome> halves{run_halves};
  outcomes<fork_outcome> parent_first{[](auto& r) { return run_fork(r, writes_first::parent); }};
  outcomes<fork_outcome> child_first{[](auto& r) { return run_fork(r, writes_first::child); }};
  outcomes<frame_count> stays{[](auto& r) { return run_neighbour(r, neighbour::stays); }};
  outcomes<frame_count> forks{[](auto& r) { return run_neighbour(r, neighbour::forks); }};
  outcomes<frame_count> reader{run_reader};
  outcomes<mix_outcome> mix{[](auto& r) { return random_mix{r}.run(mix_steps); }};
};

template <class PrintRow>
void print_rows(PrintRow print_row) {
  for (const auto& rules : all_cow_rules) {
    fmt::print("{:13}", rules.name);
    print_row(rules);
  }
}

void print_guest(const results& all) {
  fmt::print(
      "\n(a) The {} pages of a virtual machine are pinned for a device. Then its writes are "
      "logged,\n"
      "or a helper is forked and ends; the guest writes {} pages, and the device {} others.\n"
      "differ: pages of which guest and device see different contents.\n\n"
      "                          writes logged                       helper ended\n"
      "                false    lost  differ       us      false    lost  differ       us\n",
      guest_pages, guest_pages / 8, guest_pages / 8);
  print_rows([&](auto& rules) {
    const auto& log = all.logged.of(rules);
    const auto& help = all.helped.of(rules);
    fmt::print("{:>8}{:>8}{:>8}{:>9.0f}", log.false_copies, log.lost, log.differ, log.us);
    fmt::print("   {:>8}{:>8}{:>8}{:>9.0f}\n", help.false_copies, help.lost, help.differ, help.us);
  });
}

void print_halves(const results& all) {
  fmt::print(
      "\n(b) Parent and child have one half each of a huge page, and the child writes all of its "
      "{}\n"
      "pages. stolen: mappings that the reverse map lost; moves: migration can move the page;\n"
      "wasted: frames that nobody maps once the child is gone; kept: of these, after the "
      "shrinker.\n\n"
      "                false  stolen   found  of mapped  moves  wasted    kept       us\n",
      half);
  print_rows([&](auto& rules) {
    const auto& o = all.halves.of(rules);
    fmt::print("{:>8}{:>8}{:>8}{:>11}{:>7}{:>8}{:>8}{:>9.0f}\n", o.false_copies, o.stolen, o.found,
               o.mapped, o.moves ? "yes" : "no", o.wasted, o.kept, o.us);
  });
}

void print_fork(const results& all) {
  fmt::print(
      "\n(c) {} pages of a huge page are pinned.\n"
      "fork: their owner forks, and both processes write them, one after the other. copied: pages, "
      "by\n"
      "fork and by writes; kept by: who maps the pinned pages in the end.\n"
      "half: the owner has one half alone, and its writes are logged; a neighbour has the other "
      "half\n"
      "and stays, or forks. read: a shared page is pinned to be read, and then its owner "
      "writes.\n\n"
      "                     fork, parent first          fork, child first      half: lost    read\n"
      "               copied    lost kept by       us    lost  kept by      stays   forks    "
      "lost\n",
      ring);
  print_rows([&](auto& rules) {
    const auto& p = all.parent_first.of(rules);
    const auto& c = all.child_first.of(rules);
    fmt::print("{:>8}{:>8} {:7}{:>9.0f}{:>8}  {:9}{:>9}{:>8}{:>8}\n", p.fork_copies + p.copies,
               p.lost, p.keeper, p.us, c.lost, c.keeper, all.stays.of(rules), all.forks.of(rules),
               all.reader.of(rules));
  });
}

void print_mix(const results& all) {
  fmt::print(
      "\n(d) {} random steps of four processes; {} pages are pinned. lost: the owner unmapped or\n"
      "moved the page; else, it had forked since; else. copied: pages. wasted: frames of huge "
      "pages\n"
      "that nobody maps, on average, at the end, and after the shrinker (kept).\n\n"
      "                         lost                                      wasted\n"
      "             unmapped  forked    else   false  copied  stolen    mean     end    kept       "
      "ms\n",
      mix_steps, all.mix.of(cow_linux_4_5).pinned);
  print_rows([&](auto& rules) {
    const auto& o = all.mix.of(rules);
    fmt::print("{:>8}{:>8}{:>8}{:>8}{:>8}{:>8}{:>8.0f}{:>8}{:>8}{:>9.1f}\n", o.unmapped,
               o.after_fork, o.otherwise, o.false_copies, o.copies, o.stolen, o.mean_wasted,
               o.wasted, o.kept, o.us / 1000);
  });
}

// "4.5: 12, 5.9: 3, others: 0".
template <class Count>
std::string by_rules(Count count) {
  std::string text;
  bool is_any_0 = false;
  for (const auto& rules : all_cow_rules) {
    const auto n = count(rules);
    is_any_0 = is_any_0 || n == 0;
    if (n == 0) continue;
    std::string name{rules.name.substr(rules.name.find('_') + 1)};
    std::ranges::replace(name, '_', '.');
    if (rules == cow_proposal_2016) name = "proposal";
    text += fmt::format("{}{}: {}", text.empty() ? "" : ", ", name, n);
  }
  return text + (is_any_0 ? ", others: 0" : "");
}

void print_answer(const results& all) {
  fmt::print(
      "\nThe answer, all of it together. Pins lost though their owner has not forked, moved or\n"
      "unmapped since, in (a) logged, (c) where the neighbour stays, and (d) else:\n  {}.\n",
      by_rules([&](auto& rules) {
        return all.logged.of(rules).lost + all.stays.of(rules) + all.mix.of(rules).otherwise;
      }));
  fmt::print(
      "Pins lost when their owner has forked; where none is, the fork copies {} pages because {} "
      "of\n"
      "them are pinned:\n  {}.\n",
      all.parent_first.of(cow_linux_6_1).fork_copies, ring, by_rules([&](auto& rules) {
        return all.helped.of(rules).lost + all.parent_first.of(rules).lost +
               all.child_first.of(rules).lost + all.mix.of(rules).after_fork;
      }));
  fmt::print(
      "Mappings stolen, and frames that the shrinker could not win back because of it:\n"
      "  {}; {}.\n",
      by_rules([&](auto& rules) { return all.halves.of(rules).stolen + all.mix.of(rules).stolen; }),
      by_rules([&](auto& rules) { return all.halves.of(rules).kept + all.mix.of(rules).kept; }));
  fmt::print("False copies, in (a), (b) and (d):\n  {}.\n", by_rules([&](auto& rules) {
               return all.logged.of(rules).false_copies + all.helped.of(rules).false_copies +
                      all.halves.of(rules).false_copies + all.mix.of(rules).false_copies;
             }));
  fmt::print(
      "Still open in 4.6: pins lost because a neighbour forks, who has other parts of the huge "
      "page:\n"
      "  {}.\n",
      by_rules([&](auto& rules) { return all.forks.of(rules) - all.stays.of(rules); }));
}

}  // namespace

int main() {
  const results all;
  fmt::print(
      "Who may write to a huge page that others have mapped too, as seven rules decide it.\n"
      "false: writes that copied what nobody else mapped; lost: pinned pages that the pin's owner\n"
      "does not map any more; us, ms: simulated time by the default prices, on two CPUs.\n");
  print_guest(all);
  print_halves(all);
  print_fork(all);
  print_mix(all);
  print_answer(all);
}
