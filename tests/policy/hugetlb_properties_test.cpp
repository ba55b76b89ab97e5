// SPDX-License-Identifier: Apache-2.0
// A million random operations of four processes on huge pages: the counters are what the page
// tables and files say, whoever was promised a page gets one, and no memory is lost.
#include <algorithm>
#include <array>
#include <cstdlib>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <memsim/core/random.hpp>
#include <memsim/policy/hugetlb.hpp>
#include <memsim/testing/invariants.hpp>
#include <memsim/vm/virtual_memory.hpp>

#include "catch.hpp"

using namespace memsim;

namespace {

constexpr frame_count huge = frames_of(page_size::m2);
constexpr std::size_t most_processes = 4;
constexpr std::uint64_t regions = 6;
constexpr std::uint64_t region_pages = 6;
constexpr std::size_t most_holds = 3;
constexpr std::array names{"a", "b", "c"};

constexpr vpn region_at(std::uint64_t region) { return vpn{(region + 1) * 16 * huge}; }

std::uint64_t wanted_operations() {
  const char* const text = std::getenv("MEMSIM_PROPERTY_OPERATIONS");
  return text == nullptr ? 1'000'000 : std::strtoull(text, nullptr, 10);
}

struct held_pages {
  std::vector<held_page> pages{};
};

class random_hugetlb {
 public:
  random_hugetlb(const hugetlb_config& how, std::vector<subpool_limits> mounts, std::uint64_t seed)
      : memory_{{.memory = memory_map::x86_64(128_MiB)}},
        vm_{memory_},
        pool_{vm_, how},
        random_{seed, "hugetlb"} {
    all_memory_ = free_memory();
    pool_.resize(ctx_, 12);
    REQUIRE(pool_.set_overcommit(4));
    for (const auto& limits : mounts) {
      auto made = pool_.mount(ctx_, limits);
      REQUIRE(made);
      mounts_.push_back(*made);
      has_least_ = has_least_ || limits.least.has_value();
    }
    processes_[0] = &vm_.add_process();
  }

  void run(std::uint64_t operations) {
    for (std::uint64_t i = 0; i < operations; ++i) {
      step();
      check();
      if (i % 10'000 == 0) CHECK(testing::check_invariants(memory_).empty());
    }
    end();
  }

 private:
  std::uint64_t below(std::uint64_t n) { return random_.below(n); }
  [[nodiscard]] std::uint64_t free_memory() const {
    std::int64_t pages = 0;
    for (const auto& z : memory_.zones()) pages += z.exact_free_pages();
    for (const auto& z : memory_.zones()) {
      for (const auto& cpu : z.cpus) pages += cpu.count;
    }
    return static_cast<std::uint64_t>(pages);
  }

  hugetlb_mount& any_mount() { return *mounts_[below(mounts_.size())]; }
  hugetlb_file* any_file() { return any_mount().find(names[below(names.size())]); }

  void step() {
    auto& slot = processes_[below(most_processes)];
    if (slot == nullptr) slot = processes_[0] == nullptr ? &vm_.add_process() : nullptr;
    if (slot == nullptr) return;
    auto& process = *slot;
    const auto region = region_at(below(regions));
    const auto index = below(region_pages);
    const auto pages = 1 + below(region_pages - index);
    const auto first = region + index * huge;
    switch (below(24)) {
      case 0: return map(process, region, pages);
      case 1: return map(process, region, region_pages);
      case 2: return static_cast<void>(process.munmap(ctx_, first, pages * huge));
      case 3: return static_cast<void>(process.munmap(ctx_, region, region_pages * huge));
      case 4: return static_cast<void>(process.discard(ctx_, first, pages * huge));
      case 5:
        return static_cast<void>(process.mprotect(
            ctx_, first, pages * huge, below(3) == 0 ? protection::read : protection::read_write));
      case 6: return fork(process);
      case 7:
        vm_.exit(ctx_, process);
        slot = nullptr;
        return;
      case 8: return static_cast<void>(pool_.resize(ctx_, below(16)));
      case 9: return static_cast<void>(pool_.set_overcommit(below(6)));
      case 10: return static_cast<void>(any_mount().create(names[below(names.size())]));
      case 11: return static_cast<void>(any_mount().unlink(ctx_, names[below(names.size())]));
      case 12:
        if (auto* const file = any_file()) vm_.truncate(ctx_, *file, index * huge);
        return;
      case 13:
        if (auto* const file = any_file()) vm_.punch_hole(ctx_, *file, index * huge, pages * huge);
        return;
      case 14:
        if (auto* const file = any_file()) {
          static_cast<void>(file->allocate_range(ctx_, index * huge, pages * huge, below(2) == 0));
        }
        return;
      case 15: return hold(process, first);
      case 16: return release();
      case 17: {
        const auto to = region_at(below(regions)) + below(region_pages - pages + 1) * huge;
        return static_cast<void>(process.mremap(ctx_, first, pages * huge, to));
      }
      default: return touch(process, first);
    }
  }

  void map(address_space& process, vpn at, std::uint64_t pages) {
    mapping_request how{.allowed = below(8) == 0 ? protection::read : protection::read_write,
                        .no_reserve = below(4) == 0,
                        .at = at,
                        .with = below(2) == 0 ? sharing::shared_pages : sharing::private_copies};
    auto* const file = below(3) == 0 ? nullptr : any_file();
    if (file == nullptr) {
      static_cast<void>(pool_.map_anonymous(ctx_, process, pages * huge, how));
      return;
    }
    how.source = file;
    how.offset = below(3) * huge;
    static_cast<void>(process.mmap(ctx_, pages * huge, how));
  }

  void fork(address_space& process) {
    const auto free = std::ranges::find(processes_, nullptr);
    if (free == processes_.end()) return;
    // With a pinned page it takes one for the child, which there may not be.
    if (const auto child = process.fork(ctx_)) *free = *child;
  }

  void hold(address_space& process, vpn first) {
    // What is given up while somebody holds it is promised again only when it is freed (H12).
    if (pool_.config().zap_restores_promise || holds_.size() == most_holds) return;
    auto held = process.hold(ctx_, first, 1, below(2) == 0 ? pin_to_write : pin_to_read);
    if (held) holds_.push_back({std::move(*held)});
  }

  void release() {
    if (holds_.empty()) return;
    const auto at = holds_.begin() + static_cast<std::ptrdiff_t>(below(holds_.size()));
    vm_.release(ctx_, at->pages, hold_kind::pin);
    holds_.erase(at);
  }

  // A fault for which there is a promise does not fail.
  void touch(address_space& process, vpn page) {
    const auto* const area = process.find(page);
    const bool writes = below(3) > 0;
    const auto needed = writes ? protection::read_write : protection::read;
    if (area == nullptr || area->allowed < needed) {
      const auto refused = process.write(ctx_, page, 1);
      REQUIRE_FALSE(refused);
      REQUIRE(refused.error().code() == errc::bad_address);
      return;
    }
    const auto& file = static_cast<const hugetlb_file&>(*area->source);
    const bool is_sure = !process.translate(page) &&
                         file.promises().is_promised(*area, area->number_of(page) / huge) &&
                         area->number_of(page) < file.size() && !reservation::is_robbed(*area) &&
                         !has_least_;
    ++content_;
    const bool done = writes ? process.write(ctx_, page, content_).has_value()
                             : process.read(ctx_, page).has_value();
    if (is_sure) REQUIRE(done);
    if (done && writes) REQUIRE(process.read(ctx_, page) == content_);
  }

  void check() {
    const auto& c = pool_.counts();
    REQUIRE(c.free <= c.total);
    REQUIRE(c.surplus <= c.total);
    // Every page that is mapped, kept or held is in use, and there are no others.
    std::map<pfn, std::uint32_t> in_use;
    std::set<const hugetlb_file*> files;
    std::uint64_t promised = 0;
    std::uint64_t tables = 0;
    for (auto* const process : processes_) {
      if (process == nullptr) continue;
      tables += process->table().tables();
      for (std::uint64_t r = 0; r < regions; ++r) {
        for (std::uint64_t i = 0; i < 16; ++i) {
          const auto page = region_at(r) + i * huge;
          const auto* const area = process->find(page);
          if (area != nullptr) {
            const auto& file = static_cast<const hugetlb_file&>(*area->source);
            files.insert(&file);
            if (area->with == sharing::private_copies) {
              promised += file.promises().is_promised(*area, area->number_of(page) / huge);
            }
          }
          if (const auto frame = process->translate(page)) {
            REQUIRE(area != nullptr);
            ++in_use[*frame];
          }
        }
      }
    }
    for (const auto& [frame, mappings] : in_use) REQUIRE(vm_.pages().mapcount(frame) == mappings);
    for (const auto& h : holds_) {
      for (const auto& held : h.pages) in_use.try_emplace(vm_.pages().head_of(*held.page));
    }
    for (auto* const mount : mounts_) {
      for (const auto* const name : names) {
        if (const auto* const file = mount->find(name)) files.insert(file);
      }
    }
    std::uint64_t kept = 0;
    for (const auto* const file : files) {
      promised += file->promises().shared_pages() - file->pages_kept() / huge;
      kept += file->pages_kept() / huge;
    }
    for (const auto* const file : files) {
      for (std::uint64_t i = 0; i < 3 * region_pages; ++i) {
        if (const auto frame = file->page_at(i * huge)) {
          in_use.try_emplace(*frame);
          --kept;
        }
      }
    }
    REQUIRE(kept == 0);
    REQUIRE(in_use.size() == c.total - c.free);
    if (!has_least_) {
      REQUIRE(c.reserved == promised);
      REQUIRE(c.reserved <= c.free);
    }
    REQUIRE(free_memory() + c.total * huge + tables == all_memory_);
  }

  void end() {
    for (auto*& process : processes_) {
      if (process != nullptr) vm_.exit(ctx_, *std::exchange(process, nullptr));
    }
    while (!holds_.empty()) release();
    for (auto* const mount : mounts_) REQUIRE(pool_.unmount(ctx_, *mount));
    mounts_.clear();
    const auto& c = pool_.counts();
    CHECK(c.free == c.total);
    if (!has_least_) {
      CHECK(c.reserved == 0);
      pool_.resize(ctx_, 0);
      CHECK(free_memory() == all_memory_);
    }
  }

  page_allocator memory_;
  virtual_memory vm_;
  hugetlb pool_;
  context ctx_;
  random_stream random_;
  std::vector<hugetlb_mount*> mounts_;
  std::array<address_space*, most_processes> processes_{};
  std::vector<held_pages> holds_;
  std::uint64_t content_ = 0;
  std::uint64_t all_memory_ = 0;
  bool has_least_ = false;
};

}  // namespace

TEST_CASE("hugetlb keeps its promises and its memory", "[hugetlb][property]") {
  const auto operations = wanted_operations();
  SECTION("6.1") { random_hugetlb{hugetlb_6_1, {{}, {.most = 6}}, 1}.run(operations / 2); }
  SECTION("6.12") { random_hugetlb{hugetlb_6_12, {{}, {.most = 6}}, 2}.run(operations / 4); }
  // A least makes promises that nobody was given (H6), so that less can be said.
  SECTION("with a least") {
    random_hugetlb{hugetlb_6_1, {{.least = 2}, {.most = 6, .least = 3}}, 3}.run(operations / 4);
  }
}
