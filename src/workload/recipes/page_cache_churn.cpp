// SPDX-License-Identifier: Apache-2.0
// Files are read until memory is full of them, and on: the oldest pages make room.
#include <algorithm>
#include <array>
#include <cstdint>
#include <expected>
#include <vector>

#include "workload/recipe_memory.hpp"

namespace memsim::detail {
namespace {

constexpr std::array parameters{
    recipe_parameter{"readers", "files", 8, 1, 256, rule::on, "files that are read at one time"},
    recipe_parameter{"largest_file", "pages", 4096, 1, 1 << 20, rule::on,
                     "the largest file; small ones are as common as large ones, octave by octave"},
    recipe_parameter{"readahead", "pages", 32, 1, 1024, rule::on,
                     "pages of a file that are read at a time"},
    recipe_parameter{"reread", "1", 0.3, 0, 0.9, rule::off,
                     "part of the readings that are of a file read before"},
    recipe_parameter{"kernel_churn", "pages", 10, 0, 1000, rule::off,
                     "kernel pages replaced for a thousand pages read"},
};

/// Inodes in a slab of one page. A modelling assumption: about a kilobyte each.
constexpr std::uint32_t inodes_in_slab = 4;

/// Files by number. An inode lives as long as its file is read or has a page in memory; a slab of
/// inodes is given back when the last of them dies.
class file_table {
 public:
  explicit file_table(recipe_memory& memory) : memory_{memory} {
    memory.ask_before_eviction([this](std::uint32_t file) { return judge(file); });
  }

  [[nodiscard]] std::expected<std::uint32_t, error> open_new(frame_count size) {
    const auto number = files();
    if (number % inodes_in_slab == 0) {
      const auto slab = memory_.kernel_block(order{0}, gfp_kernel | gfp_flag::reclaimable);
      if (!slab) return std::unexpected{slab.error()};
      slabs_.push_back({.block = *slab, .inodes = inodes_in_slab});
    }
    files_.push_back({.size = size, .users = 1});
    return number;
  }

  [[nodiscard]] std::expected<void, error> read_page(std::uint32_t file) {
    if (auto page = memory_.cache_page(file); !page) return page;
    ++files_[file].users;
    return {};
  }

  void close(std::uint32_t file) { drop_user(file); }

  /// Pages that are in memory survive the next time that they are the oldest.
  void use_again(std::uint32_t file) { files_[file].chances = files_[file].users; }

  [[nodiscard]] std::uint32_t files() const { return static_cast<std::uint32_t>(files_.size()); }
  [[nodiscard]] frame_count size(std::uint32_t file) const { return files_[file].size; }
  [[nodiscard]] bool is_in_memory(std::uint32_t file) const { return files_[file].users > 0; }

 private:
  struct cached_file {
    frame_count size = 0;
    std::uint32_t users = 0;  ///< pages in memory, and one while it is open
    std::uint32_t chances = 0;
  };
  struct inode_slab {
    held_block block{};
    std::uint32_t inodes = 0;
  };

  recipe_memory::verdict judge(std::uint32_t number) {
    auto& f = files_[number];
    if (f.chances > 0) {
      --f.chances;
      return recipe_memory::verdict::keep;
    }
    drop_user(number);
    return recipe_memory::verdict::evict;
  }

  void drop_user(std::uint32_t number) {
    if (--files_[number].users > 0) return;
    auto& s = slabs_[number / inodes_in_slab];
    if (--s.inodes == 0) memory_.free(s.block);
  }

  recipe_memory& memory_;
  std::vector<cached_file> files_;
  std::vector<inode_slab> slabs_;
};

/// Somebody who reads one file after another.
struct reader {
  std::uint32_t file = 0;
  frame_count left = 0;  ///< pages of it still to read
};

class page_cache {
 public:
  explicit page_cache(recipe_memory& memory)
      : memory_{memory},
        files_{memory},
        random_{memory.stream("files")},
        readers_(memory.whole("readers")) {}

  [[nodiscard]] std::expected<void, error> run() {
    while (!memory_.aged()) {
      memory_.change_cpu();
      auto& who = readers_[random_.below(readers_.size())];
      if (auto done = who.left == 0 ? open_next(who) : read_on(who); !done) return done;
      memory_.evict_to_target();
    }
    return {};
  }

 private:
  std::expected<void, error> open_next(reader& who) {
    auto size = log_uniform(random_, 1, memory_.whole("largest_file"));
    if (files_.files() > 0 && random_.chance(memory_.parameter("reread"))) {
      const auto again = static_cast<std::uint32_t>(random_.below(files_.files()));
      if (files_.is_in_memory(again)) {
        files_.use_again(again);
        return {};
      }
      size = files_.size(again);
    }
    const auto file = files_.open_new(size);
    if (!file) return std::unexpected{file.error()};
    who = {.file = *file, .left = size};
    return {};
  }

  std::expected<void, error> read_on(reader& who) {
    for (auto n = std::min(who.left, memory_.whole("readahead")); n > 0; --n, --who.left) {
      if (auto read = files_.read_page(who.file); !read) return read;
    }
    if (who.left == 0) files_.close(who.file);
    return memory_.churn_kernel(memory_.parameter("kernel_churn"));
  }

  recipe_memory& memory_;
  file_table files_;
  random_stream random_;
  std::vector<reader> readers_;
};

// The judge of evictions is asked until memory has settled.
std::expected<void, error> run(recipe_memory& memory) {
  page_cache cache{memory};
  if (auto ran = cache.run(); !ran) return ran;
  memory.come_down();
  memory.evict_to_target();
  memory.ask_before_eviction({});
  return {};
}

}  // namespace

constinit const recipe_entry page_cache_churn{
    .description = {.name = "page_cache_churn",
                    .models = "a file server: files of all sizes are read through readahead, the "
                              "oldest pages make room, inodes come and go with their files",
                    .leaves = "free memory in runs of the length of readahead windows and files",
                    .parameters = parameters},
    .run = run};

}  // namespace memsim::detail
