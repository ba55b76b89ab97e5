// SPDX-License-Identifier: Apache-2.0
// Random programs with secret memory, under each design: what is absent from the direct map is what
// is secret, charges are pages of files, and no memory is lost.
#include <algorithm>
#include <array>
#include <cstdlib>
#include <map>
#include <vector>

#include <memsim/arch/merge_policy.hpp>
#include <memsim/core/random.hpp>
#include <memsim/machine.hpp>
#include <memsim/policy/secretmem.hpp>
#include <memsim/testing/fault_injection.hpp>
#include <memsim/testing/invariants.hpp>
#include <memsim/vm/virtual_memory.hpp>

#include "catch.hpp"

using namespace memsim;

namespace {

constexpr std::size_t most_processes = 4;
constexpr std::size_t most_files = 6;
constexpr frame_count most_pages = 700;

std::uint64_t wanted_operations() {
  const char* const text = std::getenv("MEMSIM_PROPERTY_OPERATIONS");
  return text == nullptr ? 1'000'000 : std::strtoull(text, nullptr, 10);
}

/// With how much memory, and how often a request fails that need not.
struct hardship {
  bytes memory = 128_MiB;
  double refused = 0;
  const merge_policy* merging = nullptr;
};

machine_config small_machine(const hardship& in) {
  machine_config config{.memory = memory_map::x86_64(in.memory), .profile = linux_6_1};
  const auto half = in.memory.frames() / 2;
  config.cma_areas = {{.base = pfn{half}, .count = half / 4}};
  config.merging = in.merging;
  return config;
}

class random_secrets {
 public:
  random_secrets(const secretmem_config& how, std::uint64_t seed, const hardship& in = {})
      : in_{in},
        machine_{small_machine(in)},
        vm_{machine_.memory()},
        secrets_{vm_, machine_.map(), how},
        random_{seed, "secretmem"},
        refuser_{memsim::testing::fault_injector::with_probability(in.refused, seed)} {
    before_ = free_memory();
    if (how.reserves) secrets_.set_aside(ctx(), in.memory.frames() / 11);
  }

  void run(std::uint64_t operations) {
    if (in_.refused > 0) machine_.memory().set_gate(&refuser_);
    for (std::uint64_t i = 0; i < operations; ++i) {
      step();
      if (i % 16 == 0) check();
    }
    machine_.memory().set_gate(nullptr);
    if (in_.refused > 0) CHECK(refuser_.refused() > 0);
    end();
  }

 private:
  struct open_file {
    secretmem_file* file = nullptr;
    std::uint64_t descriptors = 0;
  };

  context& ctx() { return machine_.cpu(0); }
  std::uint64_t below(std::uint64_t n) { return random_.below(n); }
  [[nodiscard]] std::uint64_t free_memory() const {
    std::int64_t pages = 0;
    for (const auto& z : machine_.memory().zones()) {
      pages += z.exact_free_pages();
      for (const auto& cpu : z.cpus) pages += cpu.count;
    }
    return static_cast<std::uint64_t>(pages);
  }

  void step() {
    auto*& process = processes_[below(most_processes)];
    if (process == nullptr) {
      process = &vm_.add_process({.user = static_cast<std::uint32_t>(below(2)),
                                  .score_adjustment = oom_candidate::never,
                                  .memlock_limit = 2000});
      return;
    }
    auto& of = files_[below(most_files)];
    switch (below(16)) {
      case 0: return exit(process);
      case 1: {
        const auto free = std::ranges::find(processes_, nullptr);
        if (free == processes_.end()) return;
        if (const auto child = process->fork(ctx())) *free = *child;
        return;
      }
      case 2:
        if (of.file != nullptr) return;
        if (const auto made = secrets_.create(*process)) {
          REQUIRE((*made)->resize(1 + below(most_pages)));
          of = {*made, 1};
        }
        return;
      case 3:
        if (of.file == nullptr) return;
        of.file->open();
        ++of.descriptors;
        return;
      case 4:
        if (of.file == nullptr) return;
        of.file->close(ctx());
        if (--of.descriptors == 0) of.file = nullptr;
        return;
      case 5:
      case 6: {
        if (of.file == nullptr) return;
        const mapping_request how{.no_reserve = below(8) == 0,
                                  .source = of.file,
                                  .with = sharing::shared_pages,
                                  .offset = below(200)};
        static_cast<void>(process->mmap(ctx(), 1 + below(most_pages), how));
        return;
      }
      case 7: {
        const auto where = any_page(*process);
        static_cast<void>(process->munmap(ctx(), where, 1 + below(300)));
        return;
      }
      case 8:
        if (of.file != nullptr) of.file->lose_next_race();
        return;
      default:
        for (std::uint64_t i = 0, first = below(most_pages); i < 30; ++i) {
          touch(*process, any_page(*process) + first + i);
        }
        return;
    }
  }

  vpn any_page(const address_space&) { return vpn{(1 + below(20)) * pageblock_frames}; }

  void touch(address_space& process, vpn page) {
    const auto* const area = process.find(page);
    if (area == nullptr) return;
    const auto& file = static_cast<const secretmem_file&>(*area->source);
    const auto index = area->number_of(page);
    auto& known = contents_[file.id()];
    const bool is_there = file.page_at(index).has_value();
    // A page table may be wanting all the same.
    const bool is_sure = is_there && (in_.refused == 0 || process.translate(page));
    const auto found = process.read(ctx(), page);
    if (is_sure) REQUIRE(found);
    if (is_there && found) REQUIRE(found == known[index]);
    if (!is_there && found) REQUIRE(found == 0);
    if (process.write(ctx(), page, ++content_)) {
      known[index] = content_;
    } else {
      REQUIRE_FALSE(is_sure);
      if (!is_there && file.page_at(index)) known[index] = 0;
    }
    if (found && !is_there && !known.contains(index)) known[index] = 0;
  }

  void exit(address_space*& process) { vm_.exit(ctx(), *std::exchange(process, nullptr)); }

  void check() {
    frame_count absent = 0;
    for (const auto& run : machine_.map().runs()) {
      if (!run.how.flags.has(mapping_flag::present)) absent += run.count;
    }
    REQUIRE(absent == secrets_.absent_pages());
    std::map<std::uint32_t, frame_count> charged;
    frame_count pages = 0;
    for (const auto& file : secrets_.files()) {
      pages += file->pages();
      charged[file->user()] += file->pages();
      for (std::uint64_t i = 0; i < file->size(); ++i) {
        const auto page = file->page_at(i);
        if (page) REQUIRE_FALSE(machine_.map().at(*page)->flags.has(mapping_flag::present));
      }
    }
    REQUIRE(secrets_.counts().pages == pages);
    REQUIRE(secrets_.counts().files == secrets_.files().size());
    if (secrets_.config().limit == secretmem_limit::per_user_at_fault) {
      for (const auto& [user, count] : charged) REQUIRE(secrets_.charged(user) == count);
    }
    if (secrets_.config().reserves) {
      REQUIRE(secrets_.pool().reserved <= secrets_.pool().free);
      REQUIRE(secrets_.pool().total - secrets_.pool().free == pages);
    }
  }

  void end() {
    for (auto*& process : processes_) {
      if (process != nullptr) exit(process);
    }
    for (auto& of : files_) {
      for (; of.descriptors > 0; --of.descriptors) of.file->close(ctx());
    }
    check();
    CHECK(secrets_.may_hibernate());
    CHECK(secrets_.counts().pages == 0);
    if (secrets_.config().reserves) {
      CHECK(secrets_.pool().reserved == 0);
      secrets_.set_aside(ctx(), 0);
    }
    // What was stuck is tried again by the next file that ends.
    auto& process = vm_.add_process({});
    if (const auto last = secrets_.create(process)) (*last)->close(ctx());
    vm_.exit(ctx(), process);
    CHECK(secrets_.counts().stuck_pages == 0);
    CHECK(secrets_.counts().chunks == 0);
    // Page tables of the direct map stay, and what waits in groups.
    const auto waiting = secrets_.stranded_pages();
    CHECK(free_memory() + machine_.map().page_tables() + waiting == before_);
    CHECK(memsim::testing::check_invariants(machine_.memory()).empty());
  }

  hardship in_;
  machine machine_;
  virtual_memory vm_;
  secretmem secrets_;
  random_stream random_;
  memsim::testing::fault_injector refuser_;
  std::array<address_space*, most_processes> processes_{};
  std::array<open_file, most_files> files_{};
  std::map<std::uint32_t, std::map<std::uint64_t, std::uint64_t>> contents_;
  std::uint64_t content_ = 0;
  std::uint64_t before_ = 0;
};

}  // namespace

TEST_CASE("what is secret is absent, and nothing else", "[secretmem][property]") {
  const auto presets = secretmem_presets();
  for (std::size_t i = 0; i < presets.size(); ++i) {
    DYNAMIC_SECTION(presets[i].name) {
      random_secrets{presets[i], i + 1}.run(wanted_operations() / 10);
    }
  }
}

TEST_CASE("what is secret is absent, and nothing else, where requests fail",
          "[secretmem][property]") {
  auto designs = secretmem_presets();
  auto by_page = secretmem_proposal;
  by_page.name = "by_page";
  by_page.unmaps_chunks = false;
  designs.push_back(by_page);
  for (const auto grouping : {unmapped_design::pageblock_type, unmapped_design::unmapped_cache}) {
    auto grouped = secretmem_grouped;
    grouped.name = to_text(grouping);
    grouped.grouping = grouping;
    designs.push_back(grouped);
  }
  const hardship in[] = {{.memory = 32_MiB, .refused = 0.05},
                         {.memory = 32_MiB, .refused = 0.3, .merging = &merge_when_uniform}};
  for (std::size_t i = 0; i < designs.size(); ++i) {
    for (const auto& how : in) {
      DYNAMIC_SECTION(designs[i].name << (how.merging == nullptr ? "" : ", merged")) {
        random_secrets{designs[i], i + 1, how}.run(wanted_operations() / 50);
      }
    }
  }
}
