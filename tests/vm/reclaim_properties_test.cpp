// SPDX-License-Identifier: Apache-2.0
// A million random operations with files, swap, reclaim, migration and pins: no frame is lost, a
// pinned page neither moves nor goes, no slot of swap is lost, and owners know where their pages
// are.
#include <algorithm>
#include <cstdlib>
#include <map>
#include <vector>

#include <memsim/core/random.hpp>
#include <memsim/testing/invariants.hpp>
#include <memsim/vm/anonymous_memory.hpp>
#include <memsim/vm/page_cache.hpp>

#include "catch.hpp"

using namespace memsim;

namespace {

// Sanitizers make it slower by an order of magnitude.
std::uint64_t wanted_operations() {
  const char* const text = std::getenv("MEMSIM_PROPERTY_OPERATIONS");
  return text == nullptr ? 1'000'000 : std::strtoull(text, nullptr, 10);
}

// Writes are over in the order in which they came, when somebody says so; or at once.
struct fitful_store final : page_store {
  explicit fitful_store(std::uint64_t seed) : random{seed, "fitful store"} {}
  write_outcome write(std::move_only_function<void()> done) override {
    if (under_way.size() >= 256) return write_outcome::refused;
    if (random.chance(0.2)) return write_outcome::written;
    under_way.push_back(std::move(done));
    return write_outcome::started;
  }
  void finish(std::size_t most) {
    std::vector<std::move_only_function<void()>> ending;
    const auto count = std::min(most, under_way.size());
    for (std::size_t i = 0; i < count; ++i) ending.push_back(std::move(under_way[i]));
    under_way.erase(under_way.begin(), under_way.begin() + static_cast<std::ptrdiff_t>(count));
    for (auto& done : ending) done();
  }
  random_stream random;
  std::vector<std::move_only_function<void()>> under_way{};
};

class random_machine {
 public:
  random_machine(const kernel_profile& profile, std::uint64_t seed)
      : memory_{{.memory = memory_map::x86_64(64_MiB), .profile = profile, .cpus = 2}},
        disk_{seed},
        swap_{seed + 1},
        files_{memory_, &disk_},
        heap_{memory_, {.swap = &swap_, .score_adjustment = oom_candidate::never}},
        victim_{memory_, {.swap = &swap_}},
        random_{seed, "reclaim properties"},
        frames_{accounted()} {
    memory_.set_swap(swap_slots);
    for (int i = 0; i < 3; ++i) files_.add_file();
  }

  void step() {
    ctx_.cpu = cpu_id{static_cast<unsigned>(random_.below(2))};
    const auto dice = random_.below(1000);
    if (dice < 380) {
      use_file();
    } else if (dice < 740) {
      use_memory();
    } else if (dice < 850) {
      kernel_block();
    } else if (dice < 880) {
      pin_any();
    } else if (dice < 910) {
      unpin_any();
    } else if (dice < 960) {
      disk_.finish(random_.below(64));
      swap_.finish(random_.below(64));
    } else if (dice < 985) {
      balance();
    } else if (dice < 995) {
      move_about();
    } else {
      housekeeping();
    }
  }

  void check() {
    const auto broken = memsim::testing::check_invariants(memory_);
    REQUIRE(broken == std::vector<std::string>{});
    REQUIRE(accounted() == frames_);
    for (const auto& [frame, where] : pinned_) REQUIRE(find(where) == frame);
    check_swap();
  }

  [[nodiscard]] const page_allocator& memory() const { return memory_; }
  [[nodiscard]] const page_cache& files() const { return files_; }
  [[nodiscard]] const anonymous_memory& heap() const { return heap_; }

 private:
  static constexpr frame_count swap_slots = 6000;
  static constexpr std::uint64_t file_pages = 9000;
  static constexpr std::uint64_t heap_pages = 12'000;

  // A page of a file, or of the heap.
  struct place {
    std::optional<file_id> file{};
    std::uint64_t index = 0;
  };

  [[nodiscard]] std::optional<pfn> find(const place& where) const {
    return where.file ? files_.find(*where.file, where.index) : heap_.find(where.index);
  }

  // Free, on a per-CPU list, or in use: every frame is one of these, always.
  [[nodiscard]] frame_count accounted() const {
    frame_count sum = 0;
    const auto state = memory_.state();
    for (const auto& z : state.zones) {
      for (unsigned o = 0; o < page_orders; ++o) {
        for (const auto& list : z.free_lists[o]) sum += list.size() << o;
      }
      for (const auto& cpu : z.cpus) sum += cpu.count;
      for (const auto& block : z.allocated) sum += block.size.frames();
    }
    return sum;
  }

  // A slot is of a page that is only there, or of one in memory that has it still.
  void check_swap() const {
    frame_count cached = 0;
    const auto state = memory_.state();
    for (const auto& z : state.zones) {
      for (const auto& [page, info] : z.pages) {
        cached += info.flags.has_any(page_flag::swap_cached);
      }
    }
    REQUIRE(swap_slots - memory_.free_swap() == cached + heap_.swapped() + victim_.swapped());
  }

  void use_file() {
    const file_id file{static_cast<std::uint32_t>(random_.below(3))};
    const auto index = random_.below(random_.chance(0.5) ? 500 : file_pages);
    if (random_.chance(0.3)) {
      static_cast<void>(files_.write(ctx_, file, index));
    } else {
      static_cast<void>(files_.read(ctx_, file, index));
    }
  }

  void use_memory() {
    auto& whose = random_.chance(0.1) ? victim_ : heap_;
    const auto page = random_.below(random_.chance(0.5) ? 1000 : heap_pages);
    const auto how = random_.chance(0.5) ? memory_access::read : memory_access::write;
    static_cast<void>(whose.touch(ctx_, page, how));
  }

  void kernel_block() {
    if (kernel_.size() > 300 || (!kernel_.empty() && random_.chance(0.45))) {
      const auto at = random_.below(kernel_.size());
      memory_.free(ctx_, kernel_[at].block, kernel_[at].size);
      kernel_[at] = kernel_.back();
      kernel_.pop_back();
      return;
    }
    static constexpr std::array flags{gfp_kernel, gfp_atomic, gfp_nofs, gfp_noio, gfp_nowait};
    const order size{static_cast<unsigned>(random_.below(random_.chance(0.9) ? 4 : 10))};
    if (const auto block = memory_.alloc(ctx_, size, flags[random_.below(flags.size())])) {
      kernel_.push_back({*block, size});
    }
  }

  void pin_any() {
    if (pinned_.size() > 200) return;
    place where{.index = random_.below(heap_pages)};
    if (random_.chance(0.5)) {
      where = {.file = file_id{static_cast<std::uint32_t>(random_.below(3))},
               .index = random_.below(file_pages)};
    }
    const auto page = find(where);
    if (!page || pinned_.contains(*page)) return;
    memory_.pin(*page);
    pinned_[*page] = where;
  }

  void unpin_any() {
    if (pinned_.empty()) return;
    const auto at =
        std::next(pinned_.begin(), static_cast<std::ptrdiff_t>(random_.below(pinned_.size())));
    memory_.unpin(at->first);
    pinned_.erase(at);
  }

  void balance() {
    if (const auto wish = memory_.take_kswapd_wish()) {
      memory_.balance(ctx_, *wish);
      memory_.rest_kswapd(*wish);
    }
    if (const auto wish = memory_.take_kcompactd_wish()) {
      memory_.compact_in_background(ctx_, wish->order, wish->highest);
    }
  }

  void move_about() {
    switch (random_.below(3)) {
      case 0: return memory_.compact_everything(ctx_);
      case 1: {
        const pfn first{4096 + random_.below(20) * pageblock_frames};
        if (memory_.alloc_contig_range(ctx_, first, pageblock_frames)) {
          memory_.free_contig_range(ctx_, first, pageblock_frames);
        }
        return;
      }
      default: memory_.drain_all(ctx_); return memory_.flush_lru_batches();
    }
  }

  void housekeeping() {
    const file_id file{static_cast<std::uint32_t>(random_.below(3))};
    switch (random_.below(5)) {
      case 0: static_cast<void>(files_.sync(ctx_, file)); return;
      case 1: files_.truncate(ctx_, file, file_pages - random_.below(2000)); return;
      case 2:
        if (random_.chance(0.05)) static_cast<void>(files_.drop_clean(ctx_));
        return;
      case 3: victim_.exit(ctx_); return;
      default: heap_.release(ctx_, random_.below(heap_pages)); return;
    }
  }

  page_allocator memory_;
  fitful_store disk_;
  fitful_store swap_;
  page_cache files_;
  anonymous_memory heap_;
  anonymous_memory victim_;
  random_stream random_;
  context ctx_;
  frame_count frames_;
  std::vector<allocated_block> kernel_;
  std::map<pfn, place> pinned_;
};

void run(const kernel_profile& profile) {
  const auto operations = wanted_operations();
  random_machine machine{profile, 20'241'122};
  const auto every = std::max<std::uint64_t>(operations / 250, 1);
  for (std::uint64_t i = 0; i < operations; ++i) {
    machine.step();
    if (i % every == 0) machine.check();
  }
  machine.check();
  // It was not in vain.
  const auto& events = machine.memory().reclaim_events();
  CHECK(events.pages_reclaimed_direct > operations / 1000);
  CHECK(events.pages_reclaimed_kswapd > operations / 1000);
  CHECK(events.pages_kept_pinned > 0);
  CHECK(machine.heap().counts().major_faults > 0);
  CHECK(machine.files().counts().moved > 0);
  CHECK(machine.files().counts().writes_started > 0);
}

}  // namespace

TEST_CASE("frames, slots and pins are kept through reclaim under Linux 6.1",
          "[vm][reclaim][property]") {
  run(linux_6_1);
}

TEST_CASE("frames, slots and pins are kept through reclaim under Linux 6.12",
          "[vm][reclaim][property]") {
  run(linux_6_12);
}
