// SPDX-License-Identifier: Apache-2.0
// Thousands of random changes by three processes on four CPUs: what a TLB serves is what the page
// table says, after every change and on every CPU.
#include <algorithm>
#include <array>
#include <vector>

#include <memsim/arch/tlb_presets.hpp>
#include <memsim/core/random.hpp>
#include <memsim/testing/invariants.hpp>
#include <memsim/vm/user_tlbs.hpp>
#include <memsim/vm/virtual_memory.hpp>

#include "catch.hpp"

using namespace memsim;

namespace {

constexpr frame_count huge = pageblock_frames;
constexpr std::size_t most_processes = 3;
constexpr unsigned cpus = 4;
constexpr frame_count arena_pages = 6 * huge;
constexpr vpn arena{64 * huge};

class random_processes {
 public:
  random_processes(std::uint64_t seed, const user_tlbs_config& how)
      : user_{tlbs_, how}, random_{seed, "user tlbs"} {
    for (unsigned i = 0; i < cpus; ++i) cpus_[i].cpu = cpu_id{i};
    add_process();
  }

  void step() {
    change();
    // Pages in use are accessed again and again, by whoever has what may be stale.
    for (int i = 0; i < 40; ++i) {
      auto& cpu = any_cpu();
      access(running_on(cpu), cpu, hot_page());
    }
    for (auto& cpu : cpus_) access(running_on(cpu), cpu, any_page());
    if (random_.chance(0.1)) choose_hot_pages();
  }

  [[nodiscard]] const user_tlbs& user() const { return user_; }
  [[nodiscard]] const page_allocator& memory() const { return memory_; }
  [[nodiscard]] const virtual_memory& vm() const { return vm_; }
  [[nodiscard]] std::uint64_t wrong() const { return wrong_; }
  [[nodiscard]] std::uint64_t hits() const { return hits_; }

 private:
  struct range {
    vpn first{};
    frame_count pages = 0;
  };

  address_space& any_process() { return *processes_[random_.below(processes_.size())]; }
  // A process stays on its CPU for some time.
  address_space& running_on(const context& cpu) {
    auto& running = running_[cpu.cpu.value()];
    if (random_.chance(0.1)) running = random_.below(most_processes);
    return *processes_[running % processes_.size()];
  }
  context& any_cpu() { return cpus_[random_.below(cpus)]; }
  vpn any_page() { return arena + random_.below(arena_pages); }
  vpn hot_page() { return hot_[random_.below(hot_.size())]; }
  void choose_hot_pages() {
    for (auto& page : hot_) page = any_page();
  }
  // Often a few pages, often as many as 2 MiB, and often with a page in it that is accessed.
  range any_range() {
    if (random_.chance(0.3)) return {.first = any_page().base(page_size::m2), .pages = huge};
    const auto most = random_.chance(0.5) ? 40 : 2 * huge;
    const auto first = random_.chance(0.7) ? hot_page() : any_page();
    const auto left = arena_pages - (first.value() - arena.value());
    return {.first = first, .pages = std::min(left, 1 + random_.below(most))};
  }
  protection any_protection() {
    return random_.chance(0.5) ? protection::read_write : static_cast<protection>(random_.below(3));
  }

  void add_process() {
    auto& process = vm_.add_process();
    processes_.push_back(&process);
    REQUIRE(process.mmap(any_cpu(), arena_pages, {.advice = thp_advice::huge, .at = arena}));
  }

  void change() {
    auto& process = any_process();
    auto& cpu = any_cpu();
    const auto where = any_range();
    switch (random_.below(12)) {
      case 0:
        process.munmap(cpu, where.first, where.pages);
        static_cast<void>(
            process.mmap(cpu, where.pages, {.advice = any_advice(), .at = where.first}));
        return;
      case 1:
      case 2:
        static_cast<void>(process.mprotect(cpu, where.first, where.pages, any_protection()));
        return;
      case 3: return move(process, cpu);
      case 4: return static_cast<void>(process.discard(cpu, where.first, where.pages));
      case 5: return collapse(process, cpu);
      case 6:
      case 7: return fork_or_exit(process, cpu);
      case 8: return process.split_huge_pages(cpu, where.first, 1);
      case 9: return migrate(process, cpu);
      case 10: return hold_or_release(process, cpu, where);
      default: static_cast<void>(vm_.shrink(cpu));
    }
  }

  thp_advice any_advice() { return random_.chance(0.5) ? thp_advice::huge : thp_advice::none; }

  // Whole 2 MiB and parts of them; what is left behind is mapped anew.
  void move(address_space& process, context& cpu) {
    const auto whole = random_.chance(0.5);
    const auto first = whole ? any_page().base(page_size::m2) : hot_page();
    const auto to = whole ? any_page().base(page_size::m2) : any_page();
    const auto pages = whole ? huge : 1 + random_.below(20);
    if (std::max(first, to) + pages > arena + arena_pages) return;
    if (process.mremap(cpu, first, pages, to)) {
      static_cast<void>(process.mmap(cpu, pages, {.advice = any_advice(), .at = first}));
    }
  }

  // In half of the cases all of it is made of one area first.
  void collapse(address_space& process, context& cpu) {
    const auto first = hot_page().base(page_size::m2);
    if (random_.chance(0.5)) {
      static_cast<void>(process.mprotect(cpu, first, huge, protection::read_write));
      static_cast<void>(process.madvise(cpu, first, huge, thp_advice::huge));
    }
    static_cast<void>(process.collapse(cpu, first));
  }

  void fork_or_exit(address_space& process, context& cpu) {
    if (processes_.size() < most_processes) {
      if (const auto child = process.fork(cpu)) processes_.push_back(*child);
      return;
    }
    if (random_.chance(0.5)) return;
    std::erase(processes_, &process);
    vm_.exit(cpu, process);
  }

  void migrate(address_space& process, context& cpu) {
    const auto page = process.translate(hot_page());
    if (!page) return;
    memory_.flush_lru_batches();
    const pfn block{page->value() / huge * huge};
    if (memory_.alloc_contig_range(cpu, block, huge)) memory_.free_contig_range(cpu, block, huge);
  }

  void hold_or_release(address_space& process, context& cpu, const range& where) {
    if (!held_.empty()) {
      vm_.release(cpu, held_, how_.kind);
      held_.clear();
      return;
    }
    how_ = random_.chance(0.5) ? pin_to_write : reference_to_read;
    auto held = process.hold(cpu, where.first, std::min<frame_count>(where.pages, 8), how_);
    if (held) held_ = std::move(*held);
  }

  void access(address_space& process, context& cpu, vpn page) {
    const auto how = random_.chance(0.6) ? memory_access::read : memory_access::write;
    const auto* const area = process.find(page);
    const auto needed = how == memory_access::write ? protection::read_write : protection::read;
    const bool may = area != nullptr && area->allowed >= needed;
    const auto done = process.access(cpu, page, how);
    if (!done) {
      wrong_ += may && done.error().code() != errc::no_memory;
      return;
    }
    hits_ += done->found.hit_level != 0;
    const auto at = process.walk(page);
    const bool is_mapped = at.entry != nullptr && at.entry->is_present();
    const bool is_allowed = how == memory_access::read ||
                            (is_mapped && at.entry->has(page_entry::writable | page_entry::dirty));
    wrong_ += !may || !is_mapped || !is_allowed || done->frame != process.translate(page) ||
              done->found.size != at.size;
  }

  page_allocator memory_{{.memory = memory_map::x86_64(128_MiB), .cpus = cpus}};
  tlb_system tlbs_{{.geometry = presets::skylake_sp_tlb()}, cpus};
  user_tlbs user_;
  virtual_memory vm_{memory_, {.tlbs = &user_}};
  std::array<context, cpus> cpus_{};
  std::vector<address_space*> processes_{};
  std::array<std::size_t, cpus> running_{};
  std::array<vpn, 24> hot_{[] {
    std::array<vpn, 24> pages{};
    pages.fill(arena);
    return pages;
  }()};
  std::vector<held_page> held_{};
  hold_mode how_{};
  std::uint64_t wrong_ = 0;
  std::uint64_t hits_ = 0;
  random_stream random_;
};

}  // namespace

SCENARIO("no translation that a process is served is stale", "[vm][user_tlbs][properties]") {
  const auto how =
      GENERATE(user_tlbs_config{}, user_tlbs_config{.tags = 0},
               user_tlbs_config{.flush_ceiling = 600, .tags = 2},
               user_tlbs_config{.flush_ceiling = 1024, .absent = absent_flush::on_return});
  const auto seed = GENERATE(1, 2, 3);
  CAPTURE(how.tags, how.flush_ceiling, how.absent, seed);
  random_processes m{static_cast<std::uint64_t>(seed), how};
  for (int i = 0; i < 3000; ++i) {
    m.step();
    CAPTURE(i);
    REQUIRE(m.wrong() == 0);
  }
  CHECK(memsim::testing::check_invariants(m.memory()).empty());
  // It did what it is meant to do.
  CHECK(m.hits() > 10'000);
  CHECK(m.user().counts().flushes > 500);
  CHECK(m.user().counts().spurious_faults > 0);
  CHECK(m.user().migration_work().remote_page_flushes > 0);
  CHECK(m.vm().counts().collapse_alloc > 10);
  CHECK(m.vm().counts().split_pmd > 10);
}
