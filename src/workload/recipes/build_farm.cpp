// SPDX-License-Identifier: Apache-2.0
// Short-lived processes over long-lived kernel objects: compilers that come and go.
#include <algorithm>
#include <array>
#include <cstdint>
#include <expected>
#include <vector>

#include "workload/recipe_memory.hpp"

namespace memsim::detail {
namespace {

constexpr std::array parameters{
    recipe_parameter{"jobs", "processes", 64, 1, 4096, rule::on, "processes at one time"},
    // A process is at most 1.5 times the mean, which is twice what it holds on average: above a
    // third all jobs could come to need more than there is.
    recipe_parameter{"process_share", "1", 0.25, 0.01, 0.33, rule::off,
                     "part of the user memory that processes hold; files have the rest"},
    recipe_parameter{"output", "1", 0.5, 0, 1, rule::off,
                     "pages of files written for each page that a process touches"},
    recipe_parameter{"kernel_churn", "pages", 20, 0, 1000, rule::off,
                     "long-lived kernel pages replaced for a thousand pages of processes"},
};

/// Pages that a process touches before another one has its turn.
constexpr frame_count pages_a_turn = 64;
/// Kernel pages of a process: its stack, and the upper levels of its page tables.
constexpr unsigned kernel_pages_of_process = 8;

struct process {
  frame_count size = 0;  ///< pages it will have touched when it exits
  std::vector<user_block> pages{};
  std::vector<kernel_block> tables{};
};

class farm final : public recipe_course {
 public:
  explicit farm(recipe_memory& memory)
      : memory_{memory},
        random_{memory.stream("processes")},
        jobs_(memory.whole("jobs")),
        mean_size_{std::max<frame_count>(
            2, static_cast<frame_count>(2 * memory.parameter("process_share") *
                                        static_cast<double>(memory.user_target()) /
                                        static_cast<double>(jobs_.size())))} {}

  std::expected<turn_end, error> turn() override {
    memory_.change_cpu();
    auto& job = jobs_[random_.below(jobs_.size())];
    if (job.pages.size() >= job.size) exit(job);
    if (auto ran = take_turn(job); !ran) return std::unexpected{ran.error()};
    memory_.evict_to_target();
    return turn_end::may_end;
  }

  // As many processes exit as leaves those that stay their share of the memory that is left.
  void end() override {
    memory_.come_down();
    const auto share = static_cast<frame_count>(memory_.parameter("process_share") *
                                                static_cast<double>(memory_.user_target()));
    frame_count held = 0;
    for (const auto& job : jobs_) held += job.pages.size();
    for (auto& job : jobs_) {
      if (held <= share) break;
      held -= job.pages.size();
      exit(job);
    }
    memory_.evict_to_target();
  }

 private:
  std::expected<void, error> take_turn(process& job) {
    if (job.size == 0) {
      if (auto started = start(job); !started) return started;
    }
    for (auto n = std::min(pages_a_turn, job.size - job.pages.size()); n > 0; --n) {
      if (auto touched = touch(job); !touched) return touched;
    }
    return memory_.churn_kernel(memory_.parameter("kernel_churn"));
  }

  std::expected<void, error> start(process& job) {
    job.size = mean_size_ / 2 + random_.below(mean_size_ + 1);
    for (unsigned i = 0; i < kernel_pages_of_process; ++i) {
      if (auto added = add_table(job); !added) return added;
    }
    return {};
  }

  std::expected<void, error> touch(process& job) {
    if (job.pages.size() % page_table_entries == 0) {
      if (auto added = add_table(job); !added) return added;
    }
    const auto page = memory_.user_page();
    if (!page) return std::unexpected{page.error()};
    job.pages.push_back(*page);
    if (random_.chance(memory_.parameter("output"))) return memory_.read_once();
    return {};
  }

  std::expected<void, error> add_table(process& job) {
    const auto table = memory_.kernel_memory(order{0}, gfp_kernel_account | gfp_flag::zero);
    if (!table) return std::unexpected{table.error()};
    job.tables.push_back(*table);
    return {};
  }

  void exit(process& job) {
    for (const auto& page : job.pages) memory_.free(page);
    for (const auto& table : job.tables) memory_.free(table);
    job = {};
  }

  recipe_memory& memory_;
  random_stream random_;
  std::vector<process> jobs_;
  frame_count mean_size_;
};

}  // namespace

constinit const recipe_entry build_farm{
    .description = {.name = "build_farm",
                    .models = "compilers that start, grow, write files and exit, while what the "
                              "kernel remembers of their files stays",
                    .leaves = "processes running; free memory from pages to whole processes' size, "
                              "long-lived kernel objects where short-lived processes were",
                    .parameters = parameters},
    .begin = begin_course<farm>};

}  // namespace memsim::detail
