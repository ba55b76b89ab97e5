// SPDX-License-Identifier: Apache-2.0
// Backings of the kinds that policies are: a pool of large pages, a device without descriptors, a
// file that lends nothing.
#include <array>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <memsim/alloc/observer.hpp>
#include <memsim/testing/invariants.hpp>
#include <memsim/vm/virtual_memory.hpp>

#include "catch.hpp"

using namespace memsim;

namespace {

constexpr frame_count large = frames_of(page_size::m2);

// Pages of 2 MiB, kept for shared mappings and given for private ones.
class large_pool final : public backing {
 public:
  large_pool(virtual_memory& vm, context& ctx, int pages) : backing{vm} {
    for (int i = 0; i < pages; ++i) {
      free_.push_back(*vm.memory().alloc(ctx, pageblock_order, gfp_transhuge));
    }
  }
  [[nodiscard]] page_size granule() const override { return page_size::m2; }
  [[nodiscard]] bool copies_entries_at_fork() const override { return true; }
  std::expected<void, error> reserve(context&, const mapped_area& of) override {
    of.area.note = 7;
    return {};
  }
  std::expected<backing_page, error> fault(context&, const fault_request& want) override {
    const auto index = want.index() / large;
    if (want.in.area.with == sharing::private_copies) {
      const auto page = take();
      if (!page) return std::unexpected{page.error()};
      return backing_page{.what = backing_page::given, .first = *page, .size = page_size::m2};
    }
    if (!file_.contains(index)) {
      const auto page = take();
      if (!page) return std::unexpected{page.error()};
      file_[index] = *page;
    }
    return backing_page{
        .what = backing_page::kept, .first = file_[index], .size = page_size::m2, .writable = true};
  }
  std::expected<pfn, error> copy_on_write(context&, const fault_request&, pfn shared) override {
    if (vm().pages().mapcount(shared) == 1 && !vm().pages().is_held(shared)) return shared;
    return take();
  }
  std::expected<void, error> fork(context&, const mapped_area&, const mapped_area& child) override {
    child.area.note = 8;
    return {};
  }
  void unmap(context&, const mapped_area& of) override { unmapped.push_back(of.area.pages()); }
  void release(context&, const released_page& page) override {
    if (page.is_private || removed_.erase(page.first) == 1) free_.push_back(page.first);
  }
  void punch_hole(context&, std::uint64_t first, frame_count count) override {
    for (auto index = first / large; index < (first + count) / large; ++index) {
      const auto found = file_.find(index);
      if (found == file_.end()) continue;
      if (vm().pages().is_held(found->second)) {
        removed_.insert(found->second);
      } else {
        free_.push_back(found->second);
      }
      file_.erase(found);
    }
  }
  [[nodiscard]] std::size_t free_pages() const { return free_.size(); }

  std::vector<frame_count> unmapped{};

 private:
  std::expected<pfn, error> take() {
    if (free_.empty()) return fail(errc::bus_error, "the pool is empty");
    const auto page = free_.back();
    free_.pop_back();
    return page;
  }

  std::vector<pfn> free_;
  std::map<std::uint64_t, pfn> file_;
  std::set<pfn> removed_;  // while somebody holds them
};

// A gigabyte and a half behind the machine's memory, without descriptors.
class bare_device final : public backing {
 public:
  bare_device(virtual_memory& vm, page_size largest) : backing{vm}, largest_{largest} {}
  static constexpr frame_count size = frames_of(page_size::g1) * 3 / 2;
  static constexpr pfn begin{std::uint64_t{1} << 30};

  [[nodiscard]] page_size granule() const override { return largest_; }
  [[nodiscard]] bool copies_entries_at_fork() const override { return true; }
  std::expected<backing_page, error> fault(context&, const fault_request& want) override {
    const auto first = want.index() / frames_of(largest_) * frames_of(largest_);
    if (first + frames_of(largest_) > size) return fail(errc::bus_error, "no such page");
    return backing_page{.what = backing_page::no_page, .first = begin + first, .size = largest_};
  }
  [[nodiscard]] std::optional<std::uint64_t> index_of(pfn frame) const override {
    if (frame < begin || begin + size <= frame) return std::nullopt;
    return frame.value() - begin.value();
  }
  failure_outcome memory_failure(context&, std::uint64_t index) override {
    lost.push_back(index);
    return failure_outcome::lost;
  }
  std::vector<std::uint64_t> lost{};

 private:
  page_size largest_;
};

// Lends nothing, and may be mapped shared alone.
class secret_file final : public backing {
 public:
  using backing::backing;
  [[nodiscard]] bool lends_pages() const override { return false; }
  std::expected<void, error> reserve(context&, const mapped_area& of) override {
    if (of.area.with != sharing::shared_pages) return fail(errc::invalid, "shared mappings only");
    return {};
  }
  std::expected<backing_page, error> fault(context& ctx, const fault_request& want) override {
    auto& page = pages_[want.index()];
    if (!page) page = *vm().memory().alloc(ctx, order{0}, gfp_highuser_movable);
    return backing_page{.what = backing_page::kept, .first = *page, .writable = true};
  }

 private:
  std::map<std::uint64_t, std::optional<pfn>> pages_;
};

struct one_process {
  page_allocator memory{{.memory = memory_map::x86_64(128_MiB)}};
  virtual_memory vm{memory};
  context ctx;
  address_space* process = &vm.add_process();
};

}  // namespace

namespace {

// Whatever it is asked, its answer takes memory; meanwhile somebody may be killed.
struct hungry_file final : backing {
  using backing::backing;
  void eat(context& ctx) {
    while (is_hungry) {
      if (!vm().memory().alloc(ctx, order{0}, gfp_kernel)) return;
      if (stop_when_killed != nullptr && stop_when_killed->was_killed()) return;
    }
  }
  std::expected<void, error> reserve(context& ctx, const mapped_area&) override {
    if (when == "reserve") eat(ctx);
    return {};
  }
  std::expected<backing_page, error> fault(context& ctx, const fault_request& want) override {
    auto& page = pages[want.index()];
    if (!page) page = *vm().memory().alloc(ctx, order{0}, gfp_kernel);
    return backing_page{.what = backing_page::kept, .first = *page, .writable = true};
  }
  void unmap(context& ctx, const mapped_area&) override {
    if (when == "unmap") eat(ctx);
  }
  void release(context& ctx, const released_page&) override {
    if (when == "release") eat(ctx);
  }
  bool is_hungry = false;
  std::string when{};
  const address_space* stop_when_killed = nullptr;
  std::map<std::uint64_t, std::optional<pfn>> pages{};
};

}  // namespace

SCENARIO("a process may be killed by what its own call takes", "[vm][backing]") {
  const std::string when = GENERATE("reserve", "unmap", "release");
  const std::string what = GENERATE("mmap", "munmap", "discard", "punch_hole", "truncate", "exit");
  page_allocator memory{{.memory = memory_map::x86_64(64_MiB)}};
  virtual_memory vm{memory};
  context ctx;
  {
    hungry_file file{vm};
    auto& process = vm.add_process();
    const mapping_request shared{.source = &file, .with = sharing::shared_pages};
    const auto heap = *process.mmap(ctx, 1000);
    for (frame_count i = 0; i < 1000; ++i) REQUIRE(process.write(ctx, heap + i, 1));
    const auto one = *process.mmap(ctx, 8, shared);
    const auto two = *process.mmap(ctx, 8, shared);
    for (frame_count i = 0; i < 8; ++i) {
      REQUIRE(process.write(ctx, one + i, 1));
      REQUIRE(process.write(ctx, two + i, 1));
    }
    file.is_hungry = true;
    file.when = when;
    file.stop_when_killed = &process;
    if (what == "mmap") static_cast<void>(process.mmap(ctx, 8, shared));
    if (what == "munmap") static_cast<void>(process.munmap(ctx, one, 1000));
    if (what == "discard") static_cast<void>(process.discard(ctx, one, 520));
    if (what == "punch_hole") vm.punch_hole(ctx, file, 0, 8);
    if (what == "truncate") vm.truncate(ctx, file, 2);
    const bool asked = (when == "reserve" && what == "mmap") ||
                       (when == "unmap" && what == "munmap") ||
                       (when == "release" && what != "mmap" && what != "exit");
    CHECK(process.was_killed() == asked);
    file.is_hungry = what == "exit";
    if (process.was_killed()) {
      CHECK_FALSE(process.maps_any(vpn{}, 1 << 20));
      CHECK(process.table().tables() == 0);
      CHECK(process.read(ctx, one).error().code() == errc::killed);
    }
    vm.exit(ctx, process);
    CHECK(file.mappings().empty());
  }
  CHECK(memsim::testing::check_invariants(memory).empty());
}

SCENARIO("a shared page that goes while it is to be made writable is asked for again",
         "[vm][backing]") {
  struct replacing final : backing {
    using backing::backing;
    std::expected<backing_page, error> fault(context& ctx, const fault_request&) override {
      if (!page) page = *vm().memory().alloc(ctx, order{0}, gfp_kernel);
      return backing_page{.what = backing_page::kept, .first = *page, .writable = replaced};
    }
    std::expected<void, error> make_writable(context& ctx, const fault_request&, pfn old) override {
      vm().unmap(ctx, old);
      page.reset();
      replaced = true;
      return {};
    }
    std::optional<pfn> page{};
    bool replaced = false;
  };
  one_process m;
  replacing file{m.vm};
  const auto at = *m.process->mmap(m.ctx, 1, {.source = &file, .with = sharing::shared_pages});
  REQUIRE(m.process->read(m.ctx, at));
  REQUIRE(m.process->write(m.ctx, at, 77));
  REQUIRE(m.process->translate(at));
  CHECK(m.vm.content(*m.process->translate(at)) == 77);
  m.vm.exit(m.ctx, *m.process);
}

SCENARIO("a page that goes while tables are made for it is asked for again", "[vm][backing]") {
  // As reclaim does it: what is allocated then takes the place of the page.
  struct fleeting final : backing, allocator_observer {
    explicit fleeting(virtual_memory& vm, context& ctx) : backing{vm} {
      for (auto& page : pages) page = *vm.memory().alloc(ctx, order{0}, gfp_kernel);
      vm.memory().add_observer(*this);
    }
    ~fleeting() override { vm().memory().remove_observer(*this); }
    std::expected<backing_page, error> fault(context&, const fault_request&) override {
      return backing_page{.what = backing_page::kept, .first = pages[now], .writable = true};
    }
    void on_allocation(const allocation_event&) override { now = 1; }
    std::array<pfn, 2> pages{};
    std::size_t now = 0;
  };
  one_process m;
  fleeting file{m.vm, m.ctx};
  const auto at = *m.process->mmap(m.ctx, 1, {.source = &file, .with = sharing::shared_pages});
  REQUIRE(m.process->write(m.ctx, at, 3));
  CHECK(m.process->translate(at) == file.pages[1]);
  m.vm.exit(m.ctx, *m.process);
}

SCENARIO("pages of a large granule are not cut", "[vm][backing]") {
  one_process m;
  large_pool pool{m.vm, m.ctx, 2};
  const auto at = *m.process->mmap(m.ctx, large, {.source = &pool, .with = sharing::shared_pages});
  REQUIRE(m.process->write(m.ctx, at, 5));
  CHECK(m.process->mlock(m.ctx, at + 3, 1).error().code() == errc::invalid);
  CHECK(m.process->munlock(m.ctx, at + 3, 1).error().code() == errc::invalid);
  CHECK_THROWS_WITH(m.vm.punch_hole(m.ctx, pool, 3, 5),
                    "5 pages from page 3 of a backing with pages of 2M");
  CHECK_THROWS_WITH(m.vm.truncate(m.ctx, pool, 3), ContainsSubstring("with pages of 2M"));
  CHECK(m.process->resident(at + 5, 1).resident == 1);
  CHECK(m.process->read(m.ctx, at) == 5u);
}

SCENARIO("a child whose mapping is refused leaves nothing of it", "[vm][backing]") {
  struct childless final : backing {
    using backing::backing;
    std::expected<backing_page, error> fault(context&, const fault_request&) override {
      return fail(errc::bus_error, "nothing");
    }
    std::expected<void, error> fork(context&, const mapped_area&, const mapped_area&) override {
      return fail(errc::no_memory, "no children");
    }
    void unmap(context&, const mapped_area&) override { ++unmapped; }
    int unmapped = 0;
  };
  one_process m;
  childless file{m.vm};
  REQUIRE(m.process->mmap(m.ctx, 1, {.source = &file, .with = sharing::shared_pages}));
  CHECK(m.process->fork(m.ctx).error().message() == "no children");
  CHECK(file.unmapped == 0);
  CHECK(file.mappings().size() == 1);
  CHECK(m.vm.processes() == 1);
}

SCENARIO("a mapping that takes the place of a backing's last one keeps it in use",
         "[vm][backing]") {
  struct watched final : backing {
    using backing::backing;
    std::expected<void, error> reserve(context&, const mapped_area&) override {
      if (refuses) return fail(errc::no_memory, "no more");
      return {};
    }
    std::expected<backing_page, error> fault(context&, const fault_request&) override {
      return fail(errc::bus_error, "nothing");
    }
    void unused(context&) override { ++ends; }
    int ends = 0;
    bool refuses = false;
  };
  one_process m;
  watched file{m.vm};
  mapping_request how{.source = &file, .with = sharing::shared_pages};
  how.at = *m.process->mmap(m.ctx, 1, how);
  REQUIRE(m.process->mmap(m.ctx, 1, how));
  CHECK(file.ends == 0);
  file.refuses = true;
  CHECK_FALSE(m.process->mmap(m.ctx, 1, how));
  CHECK(file.ends == 1);
  CHECK(file.mappings().empty());
}

SCENARIO("private copies of frames without descriptors have what these had", "[vm][backing]") {
  one_process m;
  bare_device device{m.vm, page_size::k4};
  const auto shared =
      *m.process->mmap(m.ctx, 8, {.source = &device, .with = sharing::shared_pages});
  const auto own = *m.process->mmap(m.ctx, 8, {.source = &device});
  REQUIRE(m.process->write(m.ctx, shared + 2, 5));
  REQUIRE(m.process->read(m.ctx, own + 2) == 5u);
  REQUIRE(m.process->mprotect(m.ctx, own, 8, protection::read));
  REQUIRE(m.process->mprotect(m.ctx, own, 8, protection::read_write));
  REQUIRE(m.process->write(m.ctx, own + 2, 6));
  CHECK(m.process->read(m.ctx, shared + 2) == 5u);
  CHECK(m.vm.faults().copies == 1);
}

SCENARIO("a pool of large pages is shared by those who map its file", "[vm][backing]") {
  one_process m;
  large_pool pool{m.vm, m.ctx, 3};
  const mapping_request shared{.source = &pool, .with = sharing::shared_pages};
  auto& other = m.vm.add_process();
  const auto here = *m.process->mmap(m.ctx, 2 * large, shared);
  const auto there = *other.mmap(m.ctx, 2 * large, shared);
  REQUIRE(m.process->write(m.ctx, here + 700, 5));
  CHECK(other.read(m.ctx, there + 700) == 5);
  CHECK(other.read(m.ctx, there + 701) == 0);
  const auto page = *m.process->translate(here + large);
  CHECK(m.vm.pages().mapcount(page) == 2);
  CHECK(m.vm.mappings_of(page).size() == 2);
  CHECK(m.process->walk(here + 700).size == page_size::m2);
  CHECK(m.process->resident(here, 2 * large).huge == large);

  WHEN("a range does not fit its pages") {
    CHECK(m.process->mmap(m.ctx, large + 1, shared).error().code() == errc::invalid);
    CHECK(m.process->munmap(m.ctx, here, 1).error().code() == errc::invalid);
    CHECK(m.process->mprotect(m.ctx, here + 1, large, protection::read).error().code() ==
          errc::invalid);
    CHECK(m.process->discard(m.ctx, here + 5, 2).error().code() == errc::invalid);
    CHECK(m.process->mremap(m.ctx, here, large, vpn{large * 64 + 1}).error().code() ==
          errc::invalid);
    CHECK_THAT(m.process->munmap(m.ctx, here + 3, large).error().message(),
               ContainsSubstring("within one of 2M"));
    THEN("nothing has changed") { CHECK(m.process->read(m.ctx, here + 700) == 5); }
  }
  WHEN("they unmap it") {
    REQUIRE(m.process->munmap(m.ctx, here + large, large));
    CHECK(pool.unmapped == std::vector<frame_count>{large});
    REQUIRE(other.munmap(m.ctx, there, 2 * large));
    THEN("its contents stay") {
      CHECK(pool.free_pages() == 2);
      const auto again = *other.mmap(m.ctx, 2 * large, shared);
      CHECK(other.read(m.ctx, again + 700) == 5);
    }
  }
  WHEN("a hole is punched while a page of it is held") {
    const auto held = *other.hold(m.ctx, there + 700, 1, pin_to_write);
    m.vm.punch_hole(m.ctx, pool, large, large);
    CHECK(!m.process->translate(here + 700));
    CHECK(pool.free_pages() == 2);
    CHECK(m.process->read(m.ctx, here + 700) == 0);
    CHECK(m.process->incoherent(here + 700, held) == 1);
    CHECK(m.vm.content(*held[0].page) == 5);
    THEN("it is free when it is let go") {
      m.vm.release(m.ctx, held, hold_kind::pin);
      CHECK(pool.free_pages() == 2);
    }
  }
  WHEN("it moves") {
    const vpn target{large * 64};
    REQUIRE(m.process->mremap(m.ctx, here + large, large, target));
    CHECK(m.process->read(m.ctx, target + (700 - large)) == 5);
    CHECK(m.vm.mappings_of(page).size() == 2);
    CHECK(pool.unmapped.empty());
  }
}

SCENARIO("private pages of a pool are copied as the pool says", "[vm][backing][cow]") {
  one_process m;
  large_pool pool{m.vm, m.ctx, 3};
  const auto heap = *m.process->mmap(m.ctx, large, {.source = &pool});
  CHECK(m.process->find(heap)->note == 7);
  REQUIRE(m.process->write(m.ctx, heap + 3, 1));
  const auto page = *m.process->translate(heap);
  CHECK(m.vm.pages().is_private(page));
  auto& child = **m.process->fork(m.ctx);
  CHECK(child.find(heap)->note == 8);
  CHECK(m.process->find(heap)->note == 7);
  CHECK(m.vm.pages().mapcount(page) == 2);
  WHEN("the child writes") {
    REQUIRE(child.write(m.ctx, heap + 4, 2));
    CHECK(pool.free_pages() == 1);
    CHECK(child.read(m.ctx, heap + 3) == 1);
    CHECK(m.process->read(m.ctx, heap + 4) == 0);
    AND_WHEN("the parent writes") {
      REQUIRE(m.process->write(m.ctx, heap + 4, 3));
      THEN("it is the last that has the page") {
        CHECK(m.process->translate(heap) == page);
        CHECK(pool.free_pages() == 1);
        CHECK(child.read(m.ctx, heap + 4) == 2);
      }
    }
    AND_WHEN("both are gone") {
      m.vm.exit(m.ctx, child);
      m.vm.exit(m.ctx, *m.process);
      CHECK(pool.free_pages() == 3);
    }
  }
  WHEN("the pool is empty") {
    const auto more = *m.process->mmap(m.ctx, 2 * large, {.source = &pool});
    REQUIRE(m.process->write(m.ctx, more, 1));
    REQUIRE(m.process->write(m.ctx, more + large, 1));
    THEN("a write of what is shared gets SIGBUS, and loses nothing") {
      CHECK(child.write(m.ctx, heap, 9).error().code() == errc::bus_error);
      CHECK(child.read(m.ctx, heap + 3) == 1);
    }
  }
  WHEN("one of them is pinned and forks") {
    REQUIRE(m.process->write(m.ctx, heap + 3, 1));
    const auto held = *m.process->hold(m.ctx, heap + 3, 1, pin_to_write);
    const auto before = pool.free_pages();
    auto& second = **m.process->fork(m.ctx);
    THEN("the child has its own at once") {
      CHECK(pool.free_pages() == before - 1);
      CHECK(second.read(m.ctx, heap + 3) == 1);
      REQUIRE(m.process->write(m.ctx, heap + 3, 6));
      CHECK(m.process->incoherent(heap + 3, held) == 0);
      CHECK(second.read(m.ctx, heap + 3) == 1);
    }
    m.vm.release(m.ctx, held, hold_kind::pin);
  }
}

SCENARIO("frames without descriptors are mapped at any size, and never held", "[vm][backing]") {
  for (const auto size : all_page_sizes) {
    INFO(to_text(size));
    one_process m;
    bare_device device{m.vm, size};
    constexpr auto gigabyte = frames_of(page_size::g1);
    const auto memory =
        *m.process->mmap(m.ctx, 2 * gigabyte, {.source = &device, .with = sharing::shared_pages});
    REQUIRE(m.process->write(m.ctx, memory + 600, 8));
    CHECK(m.process->walk(memory + 600).size == size);
    CHECK(m.process->read(m.ctx, memory + 600) == 8);
    CHECK(m.vm.content(bare_device::begin + 600) == 8);
    CHECK(!m.process->translate(memory + 600));
    CHECK(m.process->resident(memory, 2 * gigabyte).resident == 0);
    CHECK(m.process->hold(m.ctx, memory + 600, 1, pin_to_write).error().code() ==
          errc::bad_address);
    CHECK(m.process->read(m.ctx, memory + bare_device::size).error().code() == errc::bus_error);
    auto& child = **m.process->fork(m.ctx);
    CHECK(child.walk(memory + 600).entry->is_bare());
    REQUIRE(child.write(m.ctx, memory + 601, 9));
    CHECK(m.process->read(m.ctx, memory + 601) == 9);
    WHEN("a frame is lost") {
      const auto report = m.vm.memory_failure(m.ctx, bare_device::begin + 600);
      REQUIRE(report);
      CHECK(report->outcome == failure_outcome::lost);
      const auto base = memory + 600 / frames_of(size) * frames_of(size);
      CHECK(report->mapped ==
            std::vector<mapping_place>{{m.process, base, size}, {&child, base, size}});
      CHECK(device.lost == std::vector<std::uint64_t>{600});
      CHECK(child.walk(memory + 600).entry->is_none());
    }
    CHECK(m.vm.memory_failure(m.ctx, pfn{std::uint64_t{1} << 40}).error().code() == errc::invalid);
  }
}

SCENARIO("a file may lend nothing, and be shared alone", "[vm][backing]") {
  one_process m;
  secret_file file{m.vm};
  CHECK(m.process->mmap(m.ctx, 4, {.source = &file}).error().code() == errc::invalid);
  CHECK(m.process->find(vpn{512}) == nullptr);
  const auto secret = *m.process->mmap(m.ctx, 4, {.source = &file, .with = sharing::shared_pages});
  REQUIRE(m.process->write(m.ctx, secret, 3));
  CHECK(m.process->hold(m.ctx, secret, 1, pin_to_write).error().code() == errc::bad_address);
  CHECK(m.process->hold(m.ctx, secret, 1, reference_to_read).error().code() == errc::bad_address);
  CHECK(m.vm.pages().count(*m.process->translate(secret)) == 1);
  auto& child = **m.process->fork(m.ctx);
  CHECK(!child.translate(secret));
  CHECK(child.read(m.ctx, secret) == 3);
  CHECK(file.mappings().size() == 2);
  m.vm.exit(m.ctx, child);
  CHECK(file.mappings().size() == 1);
}

SCENARIO("what a backing gives has to fit", "[vm][backing]") {
  struct wrong final : backing {
    using backing::backing;
    std::expected<backing_page, error> fault(context&, const fault_request&) override {
      return answer;
    }
    backing_page answer{};
  };
  one_process m;
  wrong file{m.vm};
  const auto page = *m.process->mmap(m.ctx, 1, {.source = &file, .with = sharing::shared_pages});
  file.answer = {.what = backing_page::kept, .first = pfn{512}, .size = page_size::m2};
  CHECK_THROWS_WITH(m.process->read(m.ctx, page), ContainsSubstring("one of 2M at frame 512"));
  struct askew final : backing {
    using backing::backing;
    [[nodiscard]] page_size granule() const override { return page_size::m2; }
    std::expected<backing_page, error> fault(context&, const fault_request&) override {
      return backing_page{.what = backing_page::kept, .first = pfn{3}, .size = page_size::m2};
    }
  };
  askew crooked{m.vm};
  const auto at =
      *m.process->mmap(m.ctx, large, {.source = &crooked, .with = sharing::shared_pages});
  CHECK_THROWS_WITH(m.process->read(m.ctx, at), ContainsSubstring("one of 2M at frame 3"));
  file.answer = {.what = backing_page::zeroes};
  CHECK_THROWS_AS(m.process->read(m.ctx, page), usage_error);
  CHECK_THROWS_AS(m.process->mmap(m.ctx, 1, {.with = sharing::shared_pages}), usage_error);
  CHECK_THROWS_AS(m.process->mmap(m.ctx, 1, {.offset = 1}), usage_error);
}
