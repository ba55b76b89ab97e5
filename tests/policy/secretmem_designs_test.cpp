// SPDX-License-Identifier: Apache-2.0
// What each design of secret memory costs, refuses, and gives back, in numbers.
#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include <memsim/arch/merge_policy.hpp>
#include <memsim/metrics/fragmentation.hpp>
#include <memsim/policy/secretmem.hpp>
#include <memsim/testing/fault_injection.hpp>

#include "catch.hpp"
#include "policy/secret_machine.hpp"

using namespace memsim;
using namespace memsim::test;
using memsim::testing::fault_injector;

namespace {

// Of a design, without page tables of the process.
struct step_work {
  std::uint64_t zeroed = 0;
  std::uint64_t written = 0;  // entries of the direct map
  std::uint64_t flushes = 0;  // of pages and of everything

  friend bool operator==(const step_work&, const step_work&) = default;
};

std::ostream& operator<<(std::ostream& out, const step_work& w) {
  return out << w.zeroed << " zeroed, " << w.written << " written, " << w.flushes << " flushes";
}

struct design_work {
  secretmem_config how;
  step_work first;   // touch
  step_work second;  // touch
  step_work end;
};

secretmem_config by_page() {
  auto how = secretmem_proposal;
  how.name = "by_page";
  how.unmaps_chunks = false;
  return how;
}

secretmem_config with(secretmem_config how, auto change) {
  change(how);
  return how;
}

// 8 MiB of CMA, of which the pool of those that reserve is.
secretmem_config in_area(secretmem_config how) {
  if (how.needs_cma_area || how.reserves) how.cma_area = 0;
  return how;
}

struct designed : secret_machine {
  explicit designed(const secretmem_config& how)
      : secret_machine{in_area(how), 1_GiB, 8_MiB .frames()} {
    if (how.reserves) REQUIRE(secrets.set_aside(ctx(), chunk) == chunk);
  }
};

}  // namespace

TEST_CASE("each design zeroes, writes entries and flushes as it says", "[secretmem]") {
  // 513 entries are written for a split, and 1 flush comes of it.
  const auto d = GENERATE(values<design_work>({
      {secretmem_v16, {512, 1, 1}, {0, 0, 0}, {512, 1, 0}},
      {secretmem_5_14, {1, 514, 2}, {1, 1, 1}, {2, 2, 0}},
      {secretmem_6_1, {1, 514, 2}, {1, 1, 1}, {2, 2, 0}},
      {secretmem_proposal, {512, 1, 1}, {0, 0, 0}, {512, 1, 0}},
      {secretmem_proposal_literal, {512, 1, 1}, {1, 514, 2}, {513, 2, 0}},
      {secretmem_reserved, {0, 0, 0}, {0, 0, 0}, {2, 0, 0}},
      {secretmem_grouped, {1, 1, 1}, {1, 0, 0}, {2, 1, 0}},
      {by_page(), {512, 514, 2}, {0, 1, 1}, {512, 2, 0}},
  }));
  INFO(d.how.name);
  designed s{d.how};
  auto& process = s.process();
  auto& file = s.file(process, 2);
  const auto at = *process.mmap(s.ctx(), 2, s.shared(file));
  // Tables are there before.
  const auto beside = *process.mmap(s.ctx(), 1, {.at = at + 2});
  REQUIRE(process.write(s.ctx(), beside, 1));
  const auto done_by = [&](auto step) {
    const auto before = s.ctx().done;
    step();
    const auto& now = s.ctx().done;
    return step_work{now.pages_zeroed - before.pages_zeroed,
                     now.entries_written - before.entries_written,
                     now.tlb_page_flushes + now.tlb_full_flushes - before.tlb_page_flushes -
                         before.tlb_full_flushes};
  };
  // An entry of the process is written, too.
  const auto touch = [&](std::uint64_t page) {
    auto w = done_by([&] { REQUIRE(process.write(s.ctx(), at + page, 1)); });
    w.written -= 1;
    return w;
  };
  CHECK(touch(0) == d.first);
  CHECK(touch(1) == d.second);
  s.check();
  file.close(s.ctx());
  auto end = done_by([&] { REQUIRE(process.munmap(s.ctx(), at, 2)); });
  end.written -= 2;
  CHECK(end == d.end);
  s.check();
  CHECK(s.secrets.files().empty());
}

TEST_CASE("each design limits as it says, and fails as it says", "[secretmem]") {
  struct expected_design {
    const secretmem_config& how;
    secretmem_limit limit;
    errc failure;
    fault_oom oom;
  };
  const auto d = GENERATE(values<expected_design>({
      {secretmem_v16, secretmem_limit::per_process_at_mmap, errc::no_memory, fault_oom::kills},
      {secretmem_5_14, secretmem_limit::per_process_at_mmap, errc::no_memory, fault_oom::kills},
      {secretmem_6_1, secretmem_limit::per_user_at_fault, errc::no_memory, fault_oom::retries},
      {secretmem_proposal, secretmem_limit::per_process_at_mmap, errc::bus_error,
       fault_oom::retries},
      {secretmem_proposal_literal, secretmem_limit::per_process_at_mmap, errc::bus_error,
       fault_oom::retries},
      {secretmem_reserved, secretmem_limit::per_process_at_mmap, errc::bus_error,
       fault_oom::retries},
      {secretmem_grouped, secretmem_limit::per_process_at_mmap, errc::no_memory,
       fault_oom::retries},
  }));
  INFO(d.how.name);
  CHECK(d.how.oom == d.oom);
  const bool at_mmap = d.limit == secretmem_limit::per_process_at_mmap;
  designed s{d.how};
  auto& poor = s.process(1, 3);
  auto& file = s.file(poor, 8);
  const auto over = poor.mmap(s.ctx(), 4, s.shared(file));
  CHECK(over.has_value() == !at_mmap);
  if (at_mmap) CHECK(over.error().code() == errc::again);
  const auto at = *poor.mmap(s.ctx(), 3, s.shared(file));
  for (int i = 0; i < 3; ++i) REQUIRE(poor.write(s.ctx(), at + i, 1));
  if (!at_mmap) CHECK(code_of(poor.write(s.ctx(), *over + 3, 1)) == errc::bus_error);

  // Nothing is left for who comes next; without a promise, where there are such.
  auto& rich = s.process(2);
  auto& next = s.file(rich, 2 * chunk);
  const auto there = *rich.mmap(
      s.ctx(), 2 * chunk,
      {.no_reserve = s.secrets.config().reserves, .source = &next, .with = sharing::shared_pages});
  // Page tables there are.
  for (std::uint64_t i = 0; i < 2; ++i) {
    REQUIRE(rich.table().make(s.ctx(), there + i * chunk, page_size::k4));
  }
  auto none = fault_injector::with_probability(1, 1);
  s.m.memory().set_gate(&none);
  std::vector<pfn> area;
  while (const auto page = s.m.memory().cma_alloc(s.ctx(), 0, 1, order{0})) area.push_back(*page);
  std::optional<errc> failure;
  for (std::uint64_t i = 0; i < 2 * chunk && !failure; ++i) {
    if (const auto done = rich.write(s.ctx(), there + i, 1); !done) failure = done.error().code();
  }
  CHECK(failure == d.failure);
  s.m.memory().set_gate(nullptr);
}

TEST_CASE("a user's limit at mmap counts what is mapped of his files", "[secretmem]") {
  auto how = secretmem_5_14;
  how.limit = secretmem_limit::per_user_at_mmap;
  secret_machine s{how};
  auto& one = s.process(7, 10);
  auto& two = s.process(7, 10);
  auto& root = s.vm.add_process({.user = 7, .memlock_limit = 10, .ipc_lock = true});
  auto& file = s.file(one, 64);
  const auto at = *one.mmap(s.ctx(), 6, s.shared(file));
  CHECK(s.secrets.charged(7) == 6);
  const auto refused = two.mmap(s.ctx(), 5, s.shared(file));
  CHECK(code_of(refused) == errc::again);
  CHECK(refused.error().message() == "5 pages: 6 of 10 are mapped by the user already");
  CHECK(code_of(two.mmap(s.ctx(), 11, s.shared(file))) == errc::again);
  REQUIRE(two.mmap(s.ctx(), 4, s.shared(file)));
  REQUIRE(root.mmap(s.ctx(), 64, s.shared(file)));
  CHECK(s.secrets.charged(7) == 74);
  s.vm.exit(s.ctx(), root);
  CHECK(s.secrets.charged(7) == 10);
  // Nobody is charged for what a fork made; a part that goes is given back.
  auto& child = **one.fork(s.ctx());
  CHECK(s.secrets.charged(7) == 10);
  REQUIRE(one.munmap(s.ctx(), at + 1, 2));
  CHECK(s.secrets.charged(7) == 8);
  s.vm.exit(s.ctx(), child);
  CHECK(s.secrets.charged(7) == 8);
  REQUIRE(one.write(s.ctx(), at, 1));
  CHECK(s.secrets.charged(7) == 8);
  s.vm.exit(s.ctx(), one);
  CHECK(s.secrets.charged(7) == 4);
  CHECK(s.secrets.counts().over_limit_at_mmap == 2);
  // What cannot be promised is not charged.
  auto reserved = secretmem_reserved;
  reserved.limit = secretmem_limit::per_user_at_mmap;
  secret_machine pool{reserved, 64_MiB};
  CHECK(pool.secrets.set_aside(pool.ctx(), chunk) == chunk);
  auto& process = pool.process(7, 10 * chunk);
  auto& large = pool.file(process, 2 * chunk);
  CHECK(code_of(process.mmap(pool.ctx(), 2 * chunk, pool.shared(large))) == errc::no_memory);
  CHECK(pool.secrets.charged(7) == 0);
}

TEST_CASE("a limit at the fault is that of who made the file", "[secretmem]") {
  secret_machine s{secretmem_6_1};
  auto& maker = s.process(1, 4);
  auto& toucher = s.process(2, 4);
  auto& file = s.file(maker, 8);
  auto& own = s.file(toucher, 8);
  const auto at = *toucher.mmap(s.ctx(), 8, s.shared(file));
  const auto in_own = *toucher.mmap(s.ctx(), 8, s.shared(own));
  for (int i = 0; i < 4; ++i) REQUIRE(toucher.write(s.ctx(), at + i, 1));
  CHECK(code_of(toucher.write(s.ctx(), at + 4, 1)) == errc::bus_error);
  CHECK(s.secrets.charged(1) == 4);
  CHECK(s.secrets.charged(2) == 0);
  REQUIRE(toucher.write(s.ctx(), in_own, 1));
}

TEST_CASE("munlock does not lift what a design has locked", "[secretmem]") {
  secret_machine s{secretmem_5_14};
  auto& process = s.process(1, 10);
  auto& file = s.file(process, 64);
  const auto at = *process.mmap(s.ctx(), 10, s.shared(file));
  REQUIRE(process.munlock(s.ctx(), at, 10));
  CHECK(process.locked_pages() == 10);
  CHECK(code_of(process.mmap(s.ctx(), 1, s.shared(file))) == errc::again);
}

TEST_CASE("a fault that fails anywhere leaves nothing behind", "[secretmem]") {
  const auto how = GENERATE(values<secretmem_config>(
      {secretmem_5_14, secretmem_proposal, secretmem_proposal_literal, by_page(), secretmem_grouped,
       with(secretmem_grouped, [](auto& h) { h.grouping = unmapped_design::pageblock_type; }),
       with(secretmem_grouped, [](auto& h) { h.grouping = unmapped_design::unmapped_cache; })}));
  INFO(how.name << ' ' << to_text(how.grouping));
  const auto in_use = [](const secret_machine& s) {
    const auto frames = measure(s.m.memory()).machine.frames;
    return frames.movable + frames.unmovable;
  };
  for (std::uint64_t n = 1; n <= 8; ++n) {
    INFO(n);
    // Within a mapping of 1 GiB, so that a chunk takes a table, too.
    secret_machine s{how, 3_GiB};
    auto& process = s.process();
    auto& file = s.file(process, 8);
    const auto at = *process.mmap(s.ctx(), 8, s.shared(file));
    const auto before = in_use(s) - s.m.map().page_tables();
    auto faults = fault_injector::nth(n);
    s.m.memory().set_gate(&faults);
    static_cast<void>(process.write(s.ctx(), at, 1));
    s.m.memory().set_gate(nullptr);
    s.check();
    REQUIRE(process.write(s.ctx(), at, 1));
    s.vm.exit(s.ctx(), process);
    file.close(s.ctx());
    s.check();
    CHECK(s.secrets.counts().pages == 0);
    CHECK(s.secrets.counts().stuck_pages == 0);
    // Tables of the direct map stay, and what waits in groups.
    CHECK(in_use(s) - s.m.map().page_tables() == before + s.secrets.stranded_pages());
  }
}

TEST_CASE("who is killed gives everything back that he had open", "[secretmem]") {
  secret_machine s{secretmem_5_14, 64_MiB};
  auto& hog = s.process(1);
  auto& file = s.file(hog, 1 << 20);
  hog.when_ended([&](context& by) { file.close(by); });
  const auto at = *hog.mmap(s.ctx(), 1 << 20, s.shared(file));
  std::vector<address_space*> innocents;
  for (int i = 0; i < 20; ++i) {
    innocents.push_back(&s.process(2));
    const auto own = *innocents.back()->mmap(s.ctx(), 4);
    REQUIRE(innocents.back()->write(s.ctx(), own, 1));
  }
  errc ended{};
  for (std::uint64_t i = 0; i < 1 << 20 && ended == errc{}; ++i) {
    if (const auto done = hog.write(s.ctx(), at + i, 1); !done) ended = done.error().code();
  }
  CHECK(ended == errc::killed);
  CHECK(hog.was_killed());
  CHECK(s.secrets.files().empty());
  CHECK(s.absent() == 0);
  for (const auto* innocent : innocents) CHECK_FALSE(innocent->was_killed());
  // The hook is called once.
  s.vm.exit(s.ctx(), hog);
}

TEST_CASE("a fault that finds no memory can have somebody killed", "[secretmem]") {
  secret_machine s{secretmem_v16, 64_MiB, 0};
  auto& large = s.process();
  auto& small = s.process();
  for (const auto& [process, pages] : {std::pair{&large, 100}, {&small, 10}}) {
    const auto at = *process->mmap(s.ctx(), 100);
    for (int i = 0; i < pages; ++i) REQUIRE(process->write(s.ctx(), at + i, 1));
  }
  CHECK(s.m.memory().kill_for_fault(s.ctx()));
  CHECK(large.was_killed());
  CHECK_FALSE(small.was_killed());
  CHECK(s.m.memory().kill_for_fault(s.ctx()));
  CHECK_FALSE(s.m.memory().kill_for_fault(s.ctx()));
}

TEST_CASE("a promised page that loses its race is there for the winner", "[secretmem]") {
  secret_machine s{secretmem_reserved, 64_MiB};
  CHECK(s.secrets.set_aside(s.ctx(), chunk) == chunk);
  auto& process = s.process();
  auto& file = s.file(process, chunk);
  const auto at = *process.mmap(s.ctx(), chunk, s.shared(file));
  for (std::uint64_t i = 0; i < chunk; ++i) {
    file.lose_next_race();
    REQUIRE(process.write(s.ctx(), at + i, 1));
  }
  CHECK(s.secrets.pool().reserved == 0);
  CHECK(s.secrets.pool().free == 0);
  s.check();
}

TEST_CASE("a page that loses its race is undone by every design", "[secretmem]") {
  const auto undo = GENERATE(secretmem_undo::map_then_free, secretmem_undo::free_then_map);
  const auto source = GENERATE(secretmem_source::single_pages, secretmem_source::chunks_or_single);
  struct watcher final : allocator_observer {
    explicit watcher(const secret_machine& of) : on{of} {}
    void on_free(const free_event& e) override { freed_absent += on.is_absent(e.block); }
    const secret_machine& on;
    int freed_absent = 0;
  };
  secret_machine s{{.source = source, .undo = undo}, 64_MiB};
  auto& process = s.process();
  auto& file = s.file(process, 4);
  const auto at = *process.mmap(s.ctx(), 4, s.shared(file));
  const auto beside = *process.mmap(s.ctx(), 1, {.at = at + 4});
  REQUIRE(process.write(s.ctx(), beside, 1));
  std::vector<pfn> blocks;
  while (const auto block = s.m.memory().alloc(s.ctx(), pageblock_order, gfp_nowait)) {
    blocks.push_back(*block);
  }
  watcher watch{s};
  s.m.memory().add_observer(watch);
  file.lose_next_race();
  REQUIRE(process.write(s.ctx(), at, 1));
  s.m.memory().remove_observer(watch);
  CHECK(watch.freed_absent == (undo == secretmem_undo::free_then_map ? 1 : 0));
  CHECK(s.secrets.counts().chunks == 0);
  s.check();
}

TEST_CASE("frames of secret memory are zeroes for whoever has them next", "[secretmem]") {
  const auto how = GENERATE(values<secretmem_config>(
      {secretmem_v16, secretmem_5_14, secretmem_proposal, secretmem_reserved, secretmem_grouped}));
  INFO(how.name);
  designed s{how};
  auto& process = s.process();
  auto& file = s.file(process, 1);
  const auto at = *process.mmap(s.ctx(), 1, s.shared(file));
  REQUIRE(process.write(s.ctx(), at, 42));
  const auto frame = *file.page_at(0);
  CHECK(s.vm.content(frame) == 42);
  const auto zeroed = s.ctx().done.pages_zeroed;
  file.close(s.ctx());
  REQUIRE(process.munmap(s.ctx(), at, 1));
  CHECK(s.ctx().done.pages_zeroed > zeroed);
  CHECK(s.vm.content(frame) == 0);
}

TEST_CASE("what waits for more secret memory is stranded, and goes when memory is short",
          "[secretmem]") {
  const bool is_cache = GENERATE(false, true);
  auto how = secretmem_grouped;
  how.grouping = is_cache ? unmapped_design::unmapped_cache : unmapped_design::pageblock_type;
  secret_machine s{how, 64_MiB};
  auto& process = s.process();
  auto& file = s.file(process, 1);
  const auto at = *process.mmap(s.ctx(), 1, s.shared(file));
  REQUIRE(process.write(s.ctx(), at, 1));
  CHECK(s.secrets.stranded_pages() > 0);
  s.vm.exit(s.ctx(), process);
  file.close(s.ctx());
  const auto waiting = s.secrets.stranded_pages();
  CHECK(waiting > 1);
  s.check();
  auto& other = s.process();
  const auto all = *other.mmap(s.ctx(), 64_MiB .frames());
  for (frame_count i = 0; i < 64_MiB .frames(); ++i) {
    if (!other.write(s.ctx(), all + i, 1)) break;
  }
  CHECK((s.secrets.stranded_pages() == 0) == is_cache);
  s.check();
}

// Uniform tables of absent pages become one entry, and to map one of them again takes a table.
TEST_CASE("a page that cannot be mapped again is kept until it can", "[secretmem]") {
  machine m{machine_of(64_MiB)};
  virtual_memory vm{m.memory()};
  secretmem secrets{vm, m.map(), secretmem_5_14};
  auto& ctx = m.cpu(0);
  // Everything is mapped by 4 KiB beforehand, and so are the pages of the process: nothing comes
  // between the secret pages.
  for (pfn at{}; at < m.map().end(); at = at + chunk) {
    if (!m.map().at(at)) continue;
    REQUIRE(m.map().change(ctx, at, 1, make_invalid));
    REQUIRE(m.map().change(ctx, at, 1, make_default));
  }
  m.map().set_merging(&merge_when_uniform);
  constexpr std::uint64_t pages = 4 * chunk;
  auto& process = vm.add_process({.memlock_limit = ~frame_count{0}});
  const auto first = *process.mmap(ctx, pages);
  for (std::uint64_t i = 0; i < pages; i += chunk) {
    REQUIRE(process.table().make(ctx, first + i, page_size::k4));
  }
  std::vector<secretmem_file*> files;
  for (std::uint64_t i = 0; i < pages; ++i) {
    auto& file = **secrets.create(process);
    REQUIRE(file.resize(1));
    REQUIRE(
        process.mmap(ctx, 1, {.at = first + i, .source = &file, .with = sharing::shared_pages}));
    REQUIRE(process.write(ctx, first + i, 1));
    files.push_back(&file);
  }
  const auto runs = m.map().runs();
  REQUIRE(std::ranges::any_of(runs, [](const mapped_run& run) {
    return run.how.size == page_size::m2 && !run.how.flags.has(mapping_flag::present);
  }));
  auto none = fault_injector::with_probability(1, 1);
  m.memory().set_gate(&none);
  process.when_ended([&](context& by) {
    for (auto* const file : files) file->close(by);
  });
  vm.exit(ctx, process);
  CHECK(secrets.files().empty());
  CHECK(secrets.counts().stuck_pages > 0);
  CHECK(secrets.absent_pages() >= secrets.counts().stuck_pages);
  m.memory().set_gate(nullptr);
  // The next file that ends has them tried again.
  auto& other = vm.add_process({});
  auto& last = **secrets.create(other);
  last.close(ctx);
  CHECK(secrets.counts().stuck_pages == 0);
  CHECK(secrets.absent_pages() == 0);
}

// Likewise of a chunk whose pages leave one by one: as a whole it needs no table.
TEST_CASE("a chunk is mapped again as a whole where its pages cannot be", "[secretmem]") {
  auto config = machine_of(64_MiB);
  config.merging = &merge_when_uniform;
  machine m{config};
  virtual_memory vm{m.memory()};
  secretmem secrets{vm, m.map(), by_page()};
  auto& ctx = m.cpu(0);
  auto& process = vm.add_process({.memlock_limit = ~frame_count{0}});
  auto& file = **secrets.create(process);
  REQUIRE(file.resize(chunk));
  const auto before = m.map().mapped();
  const auto at = *process.mmap(ctx, chunk, {.source = &file, .with = sharing::shared_pages});
  for (std::uint64_t i = 0; i < chunk; ++i) REQUIRE(process.write(ctx, at + i, 1));
  REQUIRE(m.map().at(*file.page_at(0))->size == page_size::m2);
  auto none = fault_injector::with_probability(1, 1);
  m.memory().set_gate(&none);
  file.close(ctx);
  vm.exit(ctx, process);
  CHECK(none.refused() > 0);
  m.memory().set_gate(nullptr);
  CHECK(secrets.absent_pages() == 0);
  CHECK(secrets.counts().chunks == 0);
  CHECK(m.map().mapped() == before);
  for (const auto& run : m.map().runs()) CHECK(run.how.flags.has(mapping_flag::present));
}

TEST_CASE("a pool that is made smaller gives chunks back", "[secretmem]") {
  secret_machine s{secretmem_reserved, 256_MiB};
  CHECK(s.secrets.set_aside(s.ctx(), 10 * chunk) == 10 * chunk);
  CHECK(s.secrets.counts().chunks == 10);
  CHECK(s.secrets.set_aside(s.ctx(), 1) == 1);
  CHECK(s.secrets.counts().chunks == 1);
  CHECK(s.absent() == chunk);
  s.check();
  CHECK(s.secrets.set_aside(s.ctx(), 2 * chunk) == 2 * chunk);
  s.check();
  CHECK(s.secrets.set_aside(s.ctx(), 0) == 0);
  CHECK(s.absent() == 0);
}

TEST_CASE("a secretmem that there cannot be is refused", "[secretmem]") {
  const auto make = [](const secretmem_config& how) { secret_machine{how, 64_MiB}; };
  CHECK_THROWS_WITH(make(with(secretmem_5_14, [](auto& h) { h.cma_area = 2; })),
                    "CMA area 2: there are 0");
  CHECK_THROWS_WITH(make(with(secretmem_v16, [](auto& h) { h.cma_area.reset(); })),
                    "'v16' needs a CMA area, and names none");
  CHECK_THROWS_WITH(make(with(secretmem_5_14, [](auto& h) { h.reserves = true; })),
                    "'5_14' promises pages of a pool, and takes single pages");
}

TEST_CASE("secretmem counts what its sources count", "[secretmem]") {
  const auto names = [](const secretmem_config& how) {
    std::vector<std::string> found;
    secret_machine s{how, 64_MiB};
    for (const auto& value : s.secrets.statistics()) found.push_back(value.name);
    return found;
  };
  const auto has = [](const std::vector<std::string>& all, const std::string& name) {
    return std::ranges::find(all, name) != all.end();
  };
  CHECK(has(names(secretmem_5_14), "secretmem_pages"));
  CHECK(has(names(secretmem_5_14), "pool_free"));
  CHECK_FALSE(has(names(secretmem_5_14), "unmapped_pages_waiting"));
  CHECK(has(names(secretmem_grouped), "unmapped_pages_waiting"));
}
