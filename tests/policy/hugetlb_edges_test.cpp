// SPDX-License-Identifier: Apache-2.0
// Where huge pages are short, lost, cut, or asked for wrongly: what is promised stays right.
#include <limits>

#include <memsim/policy/hugetlb.hpp>

#include "catch.hpp"
#include "policy/hugetlb_machine.hpp"

using namespace memsim;
using namespace memsim::test;

namespace {

constexpr std::uint64_t endless = std::numeric_limits<std::uint64_t>::max();

mapping_request shared(hugetlb_file* file) {
  return {.source = file, .with = sharing::shared_pages};
}

}  // namespace

TEST_CASE("who asks for nothing is promised nothing", "[hugetlb]") {
  hugetlb_machine m{4};
  auto* const file = *(*m.pool.mount(m.ctx))->create("a");
  auto& process = m.vm.add_process();
  SECTION("a private mapping") {
    REQUIRE(process.mmap(m.ctx, 2 * huge, {.no_reserve = true, .source = file}));
    CHECK(m.counts() == are{4, 4, 0, 0});
    CHECK(file->size() == 2 * huge);
  }
  SECTION("a mapping that cannot be written does not make the file larger") {
    auto how = shared(file);
    how.allowed = protection::read;
    const auto at = *process.mmap(m.ctx, 2 * huge, how);
    CHECK(file->size() == 0);
    CHECK(code_of(process.read(m.ctx, at)) == errc::bus_error);
  }
}

TEST_CASE("a file ends where it says", "[hugetlb]") {
  hugetlb_machine m{4};
  auto* const file = *(*m.pool.mount(m.ctx))->create("a");
  auto& process = m.vm.add_process();
  REQUIRE(file->allocate_range(m.ctx, 0, 2 * huge));
  CHECK(file->size() == 2 * huge);
  REQUIRE(file->allocate_range(m.ctx, 0, huge));
  CHECK(file->size() == 2 * huge);
  REQUIRE(file->allocate_range(m.ctx, 2 * huge, huge, true));
  CHECK(file->size() == 2 * huge);
  CHECK(file->pages_kept() == 3 * huge);
  auto how = shared(file);
  how.allowed = protection::read;
  const auto at = *process.mmap(m.ctx, 4 * huge, how);
  CHECK(process.read(m.ctx, page(at, 1)) == 0u);
  CHECK(code_of(process.read(m.ctx, page(at, 3))) == errc::bus_error);
}

TEST_CASE("what a limit refuses it does not keep", "[hugetlb]") {
  SECTION("where the pool cannot promise") {
    hugetlb_machine m{2};
    auto* const mount = *m.pool.mount(m.ctx, {.most = 6});
    auto& process = m.vm.add_process();
    CHECK(code_of(process.mmap(m.ctx, 4 * huge, shared(*mount->create("a")))) == errc::no_memory);
    CHECK(mount->limits().used() == 0);
  }
  SECTION("where a fault finds no page") {
    hugetlb_machine m{0};
    auto* const mount = *m.pool.mount(m.ctx, {.most = 2});
    auto& process = m.vm.add_process();
    auto how = shared(*mount->create("a"));
    how.no_reserve = true;
    const auto at = *process.mmap(m.ctx, huge, how);
    CHECK(code_of(process.write(m.ctx, at, 1)) == errc::bus_error);
    CHECK(mount->limits().used() == 0);
  }
  SECTION("of what its owner gives up and is promised again") {
    hugetlb_machine m{4, hugetlb_6_12};
    auto* const mount = *m.pool.mount(m.ctx, {.most = 2});
    auto& process = m.vm.add_process();
    const auto at = *process.mmap(m.ctx, 2 * huge, {.source = *mount->create("a")});
    REQUIRE(process.write(m.ctx, at, 1));
    CHECK(mount->limits().used() == 2);
    REQUIRE(process.discard(m.ctx, at, huge));
    CHECK(mount->limits().used() == 2);
    CHECK(m.counts() == are{4, 4, 2, 0});
    REQUIRE(process.munmap(m.ctx, at, 2 * huge));
    CHECK(mount->limits().used() == 0);
    CHECK(m.counts() == are{4, 4, 0, 0});
  }
  SECTION("when the mount ends") {
    hugetlb_machine m{4};
    auto* const mount = *m.pool.mount(m.ctx, {.least = 2});
    CHECK(m.counts() == are{4, 4, 2, 0});
    REQUIRE(m.pool.unmount(m.ctx, *mount));
    CHECK(m.counts() == are{4, 4, 0, 0});
  }
}

TEST_CASE("only who was promised a page takes it from others", "[hugetlb]") {
  hugetlb_machine m{1};
  auto& parent = m.vm.add_process();
  const auto heap = *m.pool.map_anonymous(m.ctx, parent, huge);
  REQUIRE(parent.write(m.ctx, heap, 1));
  auto& one = **parent.fork(m.ctx);
  auto& other = **parent.fork(m.ctx);
  CHECK(code_of(one.write(m.ctx, heap, 2)) == errc::bus_error);
  CHECK(other.read(m.ctx, heap) == 1u);
  CHECK(one.read(m.ctx, heap) == 1u);
  REQUIRE(parent.write(m.ctx, heap, 2));
  // Who was robbed has nothing there any more, though there are pages again.
  CHECK(m.pool.resize(m.ctx, 3) == 3);
  CHECK(code_of(one.read(m.ctx, heap)) == errc::bus_error);
  CHECK(code_of(other.write(m.ctx, heap, 1)) == errc::bus_error);
}

TEST_CASE("a mapping that does not reach the page is not robbed", "[hugetlb]") {
  hugetlb_machine m{2};
  auto* const file = *(*m.pool.mount(m.ctx))->create("a");
  auto& parent = m.vm.add_process();
  const auto heap = *parent.mmap(m.ctx, huge, {.source = file});
  auto beside = mapping_request{.no_reserve = true, .source = file};
  beside.offset = huge;
  const auto there = *parent.mmap(m.ctx, huge, beside);
  REQUIRE(parent.write(m.ctx, heap, 1));
  REQUIRE(parent.write(m.ctx, there, 1));
  auto& child = **parent.fork(m.ctx);
  REQUIRE(parent.write(m.ctx, heap, 2));
  CHECK(code_of(child.read(m.ctx, heap)) == errc::bus_error);
  CHECK(child.read(m.ctx, there) == 1u);
}

// Linux takes an area that is cut out of its tree, and puts it back behind its equals.
TEST_CASE("an area that was cut is robbed after its equals", "[hugetlb]") {
  const bool is_cut = GENERATE(false, true);
  hugetlb_machine m{2};
  auto* const file = *(*m.pool.mount(m.ctx))->create("a");
  auto& parent = m.vm.add_process();
  const auto first = *parent.mmap(m.ctx, 2 * huge, {.source = file});
  const auto second = *parent.mmap(m.ctx, 2 * huge, {.no_reserve = true, .source = file});
  REQUIRE(parent.write(m.ctx, first, 1));
  REQUIRE(parent.write(m.ctx, page(first, 1), 1));
  auto& child = **parent.fork(m.ctx);
  if (is_cut) REQUIRE(child.munmap(m.ctx, page(first, 1), huge));
  REQUIRE(parent.write(m.ctx, first, 2));
  CHECK(m.pool.resize(m.ctx, 4) == 4);
  // The address is looked up in the process of each area; which of the two is marked differs.
  CHECK(child.read(m.ctx, first).has_value() == is_cut);
  CHECK(child.read(m.ctx, second).has_value() == !is_cut);
}

// Which of two files without a name ends first shows in the limits of their mount.
TEST_CASE("files that end together end in the reverse order of their addresses", "[hugetlb]") {
  const bool is_small_first = GENERATE(true, false);
  hugetlb_machine m{10};
  auto* const mount = *m.pool.mount(m.ctx, {.most = 6, .least = 4});
  auto& process = m.vm.add_process();
  const auto map = [&](const std::string& name, std::uint64_t pages) {
    REQUIRE(process.mmap(m.ctx, pages * huge, shared(*mount->create(name))));
  };
  if (is_small_first) {
    map("small", 1);
    map("large", 3);
  } else {
    map("large", 3);
    map("small", 1);
  }
  REQUIRE((*mount->create("kept"))->allocate_range(m.ctx, 0, 2 * huge));
  REQUIRE(mount->unlink(m.ctx, "small"));
  REQUIRE(mount->unlink(m.ctx, "large"));
  CHECK(m.counts() == are{10, 8, 4, 0});
  m.vm.exit(m.ctx, process);
  // Three given back of six are kept below the least, and then one more; or one first, which is
  // not.
  CHECK(m.counts() == are{10, 8, is_small_first ? 4u : 3u, 0});
}

TEST_CASE("a hole goes through private copies, and to the end of the file", "[hugetlb]") {
  hugetlb_machine m{8};
  auto* const file = *(*m.pool.mount(m.ctx))->create("a");
  auto& process = m.vm.add_process();
  REQUIRE(file->allocate_range(m.ctx, 0, 4 * huge));
  const auto at = *process.mmap(m.ctx, 4 * huge, {.source = file});
  REQUIRE(process.write(m.ctx, page(at, 1), 1));
  CHECK(m.counts().at(1) == 3);
  m.vm.punch_hole(m.ctx, *file, huge, huge);
  CHECK(file->pages_kept() == 3 * huge);
  CHECK(process.read(m.ctx, page(at, 1)) == 0u);
  m.vm.punch_hole(m.ctx, *file, huge, endless);
  CHECK(file->pages_kept() == huge);
  CHECK(process.read(m.ctx, page(at, 0)) == 0u);
}

TEST_CASE("fork() fails with ENOMEM where a held page cannot be copied", "[hugetlb]") {
  hugetlb_machine m{1};
  auto& parent = m.vm.add_process();
  const auto heap = *m.pool.map_anonymous(m.ctx, parent, huge);
  REQUIRE(parent.write(m.ctx, heap, 1));
  const auto held = *parent.hold(m.ctx, heap, 1, pin_to_write);
  CHECK(code_of(parent.fork(m.ctx)) == errc::no_memory);
  m.vm.release(m.ctx, held, hold_kind::pin);
  CHECK(parent.fork(m.ctx));
}

TEST_CASE("a private page that is lost is one less", "[hugetlb]") {
  hugetlb_machine m{4};
  auto* const mount = *m.pool.mount(m.ctx, {.most = 4});
  auto& process = m.vm.add_process();
  const auto at = *process.mmap(m.ctx, 2 * huge, {.source = *mount->create("a")});
  REQUIRE(process.write(m.ctx, at, 1));
  REQUIRE(m.vm.memory_failure(m.ctx, *process.translate(at)));
  CHECK(m.counts() == are{3, 3, 1, 0});
  CHECK(mount->limits().used() == 1);
  CHECK(code_of(process.read(m.ctx, at)) == errc::bus_error);
  m.vm.exit(m.ctx, process);
  REQUIRE(mount->unlink(m.ctx, "a"));
  CHECK(m.counts() == are{3, 3, 0, 0});
  CHECK(mount->limits().used() == 0);
  REQUIRE(m.pool.unmount(m.ctx, *mount));
  CHECK(m.pool.resize(m.ctx, 0) == 0);
}

TEST_CASE("a file's page that is lost is one less of what its mount has", "[hugetlb]") {
  const std::uint64_t pages = GENERATE(2, 4);
  hugetlb_machine m{pages};
  auto* const mount = *m.pool.mount(m.ctx, {.most = 3, .least = 2});
  auto* const file = *mount->create("a");
  auto& process = m.vm.add_process();
  const auto at = *process.mmap(m.ctx, huge, shared(file));
  REQUIRE(process.write(m.ctx, at, 1));
  REQUIRE(m.vm.memory_failure(m.ctx, *process.translate(at)));
  CHECK(file->promises().shared_pages() == 0);
  CHECK(mount->limits().used() == 0);
  // Another page is promised instead, if there is one.
  CHECK(m.counts() == are{pages - 1, pages - 1, pages == 4 ? 2u : 1u, 0});
  CHECK(mount->limits().limits().least == (pages == 4 ? 2 : 1));
  m.vm.exit(m.ctx, process);
  REQUIRE(mount->unlink(m.ctx, "a"));
  REQUIRE(m.pool.unmount(m.ctx, *mount));
  CHECK(m.counts() == are{pages - 1, pages - 1, 0, 0});
}

TEST_CASE("misuse of huge pages is an error that says what is wrong", "[hugetlb]") {
  hugetlb_machine m{4};
  hugetlb other{m.vm, hugetlb_6_1};
  auto* const mount = *m.pool.mount(m.ctx, {.least = 2});
  CHECK_THROWS_WITH(other.unmount(m.ctx, *mount), "the mount is of another pool");
  CHECK(m.counts() == are{4, 4, 2, 0});
  auto* const file = *mount->create("a");
  auto& process = m.vm.add_process();
  auto how = shared(file);
  how.offset = endless - huge + 1;
  CHECK(code_of(process.mmap(m.ctx, 2 * huge, how)) == errc::invalid);
  CHECK(code_of(file->allocate_range(m.ctx, huge, endless - huge + 1)) == errc::invalid);
  CHECK(code_of(m.pool.mount(m.ctx, {.least = endless / 2 + 1})) == errc::no_memory);
  CHECK(m.counts() == are{4, 4, 2, 0});
}

TEST_CASE("the rules of huge pages are those of the profile", "[hugetlb]") {
  CHECK_FALSE(hugetlb_rules(linux_6_1).zap_restores_promise);
  CHECK(hugetlb_rules(linux_6_12).zap_restores_promise);
}
