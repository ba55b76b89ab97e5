// SPDX-License-Identifier: Apache-2.0
// A million random operations of four processes on eight huge pages: every counter is what the page
// tables say, every process reads what it wrote, and pins keep their pages.
#include <algorithm>
#include <array>
#include <cstdlib>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include <memsim/core/random.hpp>
#include <memsim/testing/invariants.hpp>
#include <memsim/vm/virtual_memory.hpp>

#include "catch.hpp"

using namespace memsim;

namespace {

constexpr std::size_t most_processes = 4;
constexpr std::uint64_t regions = 8;
constexpr std::size_t most_holds = 6;
constexpr vpn region_at(std::uint64_t region) { return vpn{(region + 1) * 4 * pageblock_frames}; }

// Sanitizers make it slower by an order of magnitude.
std::uint64_t wanted_operations() {
  const char* const text = std::getenv("MEMSIM_PROPERTY_OPERATIONS");
  return text == nullptr ? 1'000'000 : std::strtoull(text, nullptr, 10);
}

// What a process should find in a page, and whether it may.
struct expected_page {
  std::uint64_t content = 0;
  bool is_mapped = false;
  bool may_write = false;
};

struct process_model {
  address_space* space = nullptr;
  std::array<std::array<expected_page, pageblock_frames>, regions> pages{};
};

struct held_pages {
  std::size_t process = 0;
  vpn first{};
  std::vector<held_page> pages{};
  hold_mode how{};
  bool must_stay = true;  // until its process does something that may end it
};

// What the entries of all processes say of a page.
struct seen {
  std::uint32_t mappings = 0;
  std::uint32_t whole_mappings = 0;
  std::uint32_t writable = 0;
  std::uint32_t processes = 0;
  std::size_t last_process = ~std::size_t{0};
};

class random_processes {
 public:
  random_processes(const cow_rules& rules, std::uint64_t seed, bytes memory)
      : memory_{{.memory = memory_map::x86_64(memory)}},
        vm_{memory_, {.cow = rules}},
        random_{seed, "cow properties"},
        seen_(memory_.frames().end().value()) {
    processes_[0].space = &add_process();
  }

  void step() {
    const auto dice = random_.below(1000);
    who_ = static_cast<std::size_t>(random_.below(most_processes));
    auto& p = processes_[who_];
    if (p.space == nullptr) {
      if (none_left()) processes_[who_].space = &add_process();
      return;
    }
    region_ = random_.below(regions);
    from_ = random_.below(pageblock_frames);
    count_ = random_.chance(0.3) ? pageblock_frames - from_
                                 : 1 + random_.below(std::min<frame_count>(pageblock_frames - from_,
                                                                           1 + random_.below(256)));
    if (random_.chance(0.3)) {
      from_ = 0;
      count_ = pageblock_frames;
    }
    if (dice < 80) {
      map();
    } else if (dice < 330) {
      write();
    } else if (dice < 450) {
      read();
    } else if (dice < 530) {
      fork();
    } else if (dice < 570) {
      exit();
    } else if (dice < 650) {
      unmap();
    } else if (dice < 700) {
      discard();
    } else if (dice < 750) {
      protect();
    } else if (dice < 790) {
      advise();
    } else if (dice < 830) {
      move();
    } else if (dice < 870) {
      collapse();
    } else if (dice < 920) {
      hold();
    } else if (dice < 965) {
      release();
    } else if (dice < 985) {
      vm_.shrink(ctx_);
    } else {
      p.space->split_huge_pages(ctx_, region_at(region_), pageblock_frames);
    }
  }

  [[nodiscard]] std::string check();
  [[nodiscard]] const virtual_memory& vm() const { return vm_; }
  [[nodiscard]] std::uint64_t failures() const { return failures_; }
  [[nodiscard]] page_allocator& memory() { return memory_; }

  // Everybody goes, and everything is released.
  void end() {
    for (auto& h : held_) vm_.release(ctx_, h.pages, h.how.kind);
    held_.clear();
    for (auto& p : processes_) {
      if (p.space != nullptr) vm_.exit(ctx_, *p.space);
      p.space = nullptr;
    }
    vm_.shrink(ctx_);
    memory_.drain_all(ctx_);
  }
  [[nodiscard]] std::int64_t free_frames() {
    memory_.drain_all(ctx_);
    std::int64_t sum = 0;
    for (const auto& z : memory_.zones()) sum += z.exact_free_pages();
    return sum;
  }

 private:
  [[nodiscard]] bool none_left() const {
    return std::ranges::all_of(processes_, [](const auto& p) { return p.space == nullptr; });
  }
  address_space& add_process() {
    return vm_.add_process({.score_adjustment = oom_candidate::never});
  }
  process_model& process() { return processes_[who_]; }
  vpn first() const { return region_at(region_) + from_; }
  template <class Use>
  void for_pages(Use use) {
    for (frame_count i = from_; i < from_ + count_; ++i) use(process().pages[region_][i]);
  }
  // The process has done what may end its pins of these pages.
  void ends_pins(std::size_t process, vpn from, frame_count count) {
    for (auto& h : held_) {
      const auto end = h.first + h.pages.size();
      if (h.process == process && h.first < from + count && from < end) h.must_stay = false;
    }
  }

  void map() {
    from_ = 0;
    count_ = pageblock_frames;
    ends_pins(who_, first(), count_);
    const auto advice = random_.chance(0.9) ? thp_advice::huge : thp_advice::none;
    REQUIRE(process().space->mmap(ctx_, count_, {.advice = advice, .at = first()}));
    for_pages([](expected_page& e) { e = {0, true, true}; });
  }
  void write() {
    if (random_.chance(0.7)) count_ = 1;
    for (frame_count i = 0; i < count_; ++i) {
      auto& e = process().pages[region_][from_ + i];
      const auto done = process().space->write(ctx_, first() + i, ++versions_);
      if (!done && done.error().code() == errc::no_memory) return ++failures_, void();
      REQUIRE(done.has_value() == (e.is_mapped && e.may_write));
      if (done) e.content = versions_;
    }
  }
  void read() {
    for (frame_count i = 0; i < count_; ++i) {
      const auto& e = process().pages[region_][from_ + i];
      const auto found = process().space->read(ctx_, first() + i);
      if (!found && found.error().code() == errc::no_memory) return ++failures_, void();
      REQUIRE(found.has_value() == e.is_mapped);
      if (found) REQUIRE(*found == e.content);
    }
  }
  void fork() {
    const auto child = random_.below(most_processes);
    if (processes_[child].space != nullptr) return;
    const auto made = process().space->fork(ctx_);
    if (!made) {
      REQUIRE(made.error().code() == errc::no_memory);
      ++failures_;
      return;
    }
    processes_[child] = process();
    processes_[child].space = *made;
    if (!vm_.config().cow.fork_spares_pins) ends_pins(who_, vpn{}, frame_count{1} << 30);
    // Who goes by the part with most mappings copies because of a neighbour's fork, too.
    if (vm_.config().cow.part == reuse_test::highest_mapcount) {
      for (auto& h : held_) h.must_stay = h.must_stay && !has_part(h);
    }
    for (auto& h : held_) {
      if (h.process == who_ && h.how.kind == hold_kind::reference) h.must_stay = false;
    }
  }
  [[nodiscard]] bool has_part(const held_pages& h) const {
    return std::ranges::any_of(h.pages, [&](const held_page& p) {
      return p.page && vm_.pages()[*p.page].huge() != huge_page_id::none;
    });
  }
  void exit() {
    ends_pins(who_, vpn{}, frame_count{1} << 30);
    vm_.exit(ctx_, *process().space);
    process() = {};
  }
  void unmap() {
    ends_pins(who_, first(), count_);
    REQUIRE(process().space->munmap(ctx_, first(), count_));
    for_pages([](expected_page& e) { e = {}; });
  }
  void discard() {
    ends_pins(who_, first(), count_);
    static_cast<void>(process().space->discard(ctx_, first(), count_));
    for_pages([](expected_page& e) { e.content = 0; });
  }
  void protect() {
    const bool may_write = random_.chance(0.6);
    const auto allowed = may_write ? protection::read_write : protection::read;
    static_cast<void>(process().space->mprotect(ctx_, first(), count_, allowed));
    // It stops at a hole.
    for (frame_count i = from_; i < from_ + count_; ++i) {
      auto& e = process().pages[region_][i];
      if (!e.is_mapped) return;
      e.may_write = may_write;
    }
  }
  void advise() {
    static_cast<void>(process().space->madvise(
        ctx_, first(), count_, random_.chance(0.7) ? thp_advice::huge : thp_advice::no_huge));
  }
  void move() {
    const auto to_region = random_.below(regions);
    const auto to = random_.below(pageblock_frames - count_ + 1);
    const auto target = region_at(to_region) + to;
    auto& pages = process().pages;
    const bool is_mapped = pages[region_][from_].is_mapped;
    const auto done = process().space->mremap(ctx_, first(), count_, target);
    if (!done && done.error().code() == errc::invalid) return;
    if (!is_mapped) return;
    if (!done) failures_ += done.error().code() == errc::no_memory;
    ends_pins(who_, target, count_);
    std::fill_n(pages[to_region].begin() + static_cast<std::ptrdiff_t>(to), count_,
                expected_page{});
    if (!done) return;
    ends_pins(who_, first(), count_);
    for (frame_count i = 0; i < count_; ++i) {
      pages[to_region][to + i] = std::exchange(pages[region_][from_ + i], {});
    }
  }
  void collapse() { static_cast<void>(process().space->collapse(ctx_, region_at(region_))); }
  void hold() {
    if (held_.size() == most_holds) return;
    held_pages h{.process = who_, .first = first()};
    h.how = random_.chance(0.3)   ? reference_to_read
            : random_.chance(0.3) ? pin_to_read
                                  : pin_to_write;
    auto pages = process().space->hold(ctx_, first(), count_, h.how);
    if (!pages) return;
    h.pages = std::move(*pages);
    // Only a write, or a kernel that unshares, makes sure of the page.
    h.must_stay = h.how.access == memory_access::write;
    if (vm_.config().cow.unshares_for_read_pins && h.how.kind == hold_kind::pin) {
      h.must_stay =
          std::ranges::all_of(h.pages, [](const held_page& p) { return p.page.has_value(); });
    }
    held_.push_back(std::move(h));
  }
  void release() {
    if (held_.empty()) return;
    const auto at = held_.begin() + static_cast<std::ptrdiff_t>(random_.below(held_.size()));
    vm_.release(ctx_, at->pages, at->how.kind);
    held_.erase(at);
  }

  std::optional<std::string> see(std::size_t process, std::uint64_t region);
  std::string check_page(pfn page);

  page_allocator memory_;
  virtual_memory vm_;
  random_stream random_;
  context ctx_;
  std::array<process_model, most_processes> processes_{};
  std::vector<held_pages> held_;
  std::uint64_t versions_ = 0;
  std::uint64_t failures_ = 0;  // for want of memory
  std::size_t who_ = 0;
  std::uint64_t region_ = 0;
  frame_count from_ = 0;
  frame_count count_ = 0;
  std::vector<seen> seen_;    // by frame
  std::vector<pfn> touched_;  // frames that an entry maps
};

// Counts what a process's entries of a region map.
std::optional<std::string> random_processes::see(std::size_t process, std::uint64_t region) {
  auto& p = processes_[process];
  const auto at = p.space->walk(region_at(region));
  if (at.entry == nullptr) return std::nullopt;
  const auto see_page = [&](pfn page, bool is_whole, bool is_writable) {
    auto& s = seen_[page.value()];
    if (s.mappings + s.whole_mappings == 0) touched_.push_back(page);
    ++(is_whole ? s.whole_mappings : s.mappings);
    s.writable += is_writable;
    if (s.last_process != process) ++s.processes;
    s.last_process = process;
  };
  if (at.size == page_size::m2) {
    if (!at.entry->is_page()) return std::nullopt;
    for (frame_count i = 0; i < pageblock_frames; ++i) {
      see_page(at.entry->frame() + i, true, at.entry->has(page_entry::writable));
    }
    return std::nullopt;
  }
  if (at.size != page_size::k4) return std::nullopt;
  for (frame_count i = 0; i < pageblock_frames; ++i) {
    const auto entry = at.entry[i];
    if (!entry.is_page()) continue;
    if (entry.has(page_entry::writable) && !p.pages[region][i].may_write) {
      return "a page that may not be written has a writable entry";
    }
    see_page(entry.frame(), false, entry.has(page_entry::writable));
  }
  return std::nullopt;
}

std::string random_processes::check_page(pfn page) {
  const auto& pages = vm_.pages();
  const auto& p = pages[page];
  const auto& s = seen_[page.value()];
  const auto fail = [&](std::string_view what) { return fmt::format("frame {}: {}", page, what); };
  if (p.mappings != s.mappings) return fail("mappings of 4 KiB are not those of the page tables");
  if (pages.mapcount(page) != s.mappings + s.whole_mappings) return fail("mapcount");
  if (p.huge() == huge_page_id::none && s.whole_mappings > 0) return fail("mapped whole");
  const auto tracks = vm_.config().cow.restores_writable;
  if (tracks && p.exclusive && s.processes > 1) return fail("exclusive, and of several processes");
  if (s.writable > 0 && s.mappings + s.whole_mappings > 1) return fail("shared and writable");
  const auto head = pages.head_of(page);
  const bool is_exclusive = p.exclusive || (s.whole_mappings > 0 && pages[head].exclusive);
  if (tracks && s.writable > 0 && !is_exclusive) return fail("writable, and not exclusive");
  if (pages.highest_mapcount(page) > pages.total_mapcount(page)) return fail("highest > total");
  return {};
}

std::string random_processes::check() {
  for (const auto page : touched_) seen_[page.value()] = {};
  touched_.clear();
  for (std::size_t p = 0; p < most_processes; ++p) {
    for (std::uint64_t r = 0; processes_[p].space != nullptr && r < regions; ++r) {
      if (auto wrong = see(p, r)) return *wrong;
    }
  }
  const auto& pages = vm_.pages();
  std::array<huge_page_id, regions * most_processes * 4> checked{};
  std::size_t huge_pages = 0;
  for (const auto page : touched_) {
    const auto huge = pages[page].huge();
    const bool is_new = huge != huge_page_id::none &&
                        std::find(checked.begin(), checked.begin() + huge_pages, huge) ==
                            checked.begin() + huge_pages;
    if (is_new && huge_pages < checked.size()) {
      checked[huge_pages++] = huge;
      const auto& whole = pages[huge];
      std::uint32_t parts = 0;
      std::uint64_t all = 0;
      for (frame_count i = 0; i < pageblock_frames; ++i) {
        const auto& s = seen_[whole.first.value() + i];
        parts += s.mappings > 0;
        all += s.mappings;
      }
      const auto whole_mappings = seen_[page.value()].whole_mappings;
      if (whole.pmd_mappings != whole_mappings) return "mappings of the whole";
      if (whole.pte_mappings != all || whole.mapped_parts != parts) return "mappings of parts";
      if (pages.total_mapcount(page) != all + whole_mappings) return "total_mapcount";
      if (whole.double_map && (whole_mappings == 0 || parts < pageblock_frames)) {
        // To 6.1 each part has one more then; so one that nobody maps is still counted.
        if (whole_mappings == 0) return "DoubleMap without a mapping of the whole";
      }
      const auto references = pages.count(page);
      if (references != pages.total_mapcount(page) + whole.references + whole.pins) {
        return "references are not mappings and holds";
      }
    }
    if (huge == huge_page_id::none) {
      if (auto wrong = check_page(page); !wrong.empty()) return wrong;
    } else if (page.value() % 64 == versions_ % 64 || pages[page].mappings > 0) {
      const auto& p = pages[page];
      const auto& s = seen_[page.value()];
      if (p.mappings != s.mappings) return fmt::format("frame {}: mappings of a part", page);
      const auto tracks = vm_.config().cow.restores_writable;
      if (s.writable > 0 && s.mappings + s.whole_mappings > 1) return "shared and writable";
      if (tracks && p.exclusive && s.processes > 1) return "exclusive, of several processes";
      if (tracks && s.mappings > 0 && s.writable > 0 && !p.exclusive) {
        return "a part is writable, and not exclusive";
      }
    }
  }
  for (const auto& h : held_) {
    if (!h.must_stay || processes_[h.process].space == nullptr) continue;
    if (processes_[h.process].space->incoherent(h.first, h.pages) > 0) {
      return "a pin lost its page";
    }
  }
  return {};
}

void run(const cow_rules& rules, std::uint64_t seed, std::uint64_t operations,
         bytes memory = 256_MiB) {
  INFO(rules.name << ", seed " << seed);
  random_processes machine{rules, seed, memory};
  const auto before = machine.free_frames();
  for (std::uint64_t i = 0; i < operations; ++i) {
    INFO("operation " << i);
    machine.step();
    if (const auto wrong = machine.check(); !wrong.empty()) FAIL(wrong);
  }
  CHECK(memsim::testing::check_invariants(machine.memory()).empty());
  CHECK(machine.vm().faults().reuses > 0);
  CHECK(machine.vm().faults().copies > 0);
  if (memory >= 256_MiB) CHECK(machine.failures() == 0);
  machine.end();
  CHECK(machine.free_frames() == before);
}

}  // namespace

SCENARIO("the same random operations leave the same state", "[vm][cow]") {
  const auto digest_of = [](std::uint64_t seed, int operations) {
    random_processes machine{cow_linux_6_1, seed, 256_MiB};
    for (int i = 0; i < operations; ++i) machine.step();
    return machine.vm().state_digest();
  };
  const auto expected = digest_of(1, 2000);
  CHECK(digest_of(1, 2000) == expected);
  CHECK(digest_of(1, 1000) != expected);
  CHECK(digest_of(2, 2000) != expected);
}

SCENARIO("counters, contents and pins hold after each of a million random operations",
         "[vm][cow][properties]") {
  const auto operations = wanted_operations();
  SECTION("6.1") { run(cow_linux_6_1, 1, operations); }
  SECTION("6.12") { run(cow_linux_6_12, 2, operations / 4); }
  SECTION("4.6") { run(cow_linux_4_6, 3, operations / 4); }
  SECTION("5.8") { run(cow_linux_5_8, 4, operations / 10); }
  SECTION("4.6, short of memory") { run(cow_linux_4_6, 5, operations / 10, 20_MiB); }
  SECTION("6.1, short of memory") { run(cow_linux_6_1, 6, operations / 10, 20_MiB); }
  SECTION("6.12, short of memory") { run(cow_linux_6_12, 7, operations / 10, 20_MiB); }
}
