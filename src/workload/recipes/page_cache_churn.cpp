// SPDX-License-Identifier: Apache-2.0
// Files are read until memory is full of them, and on: reclaim makes room.
#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <expected>
#include <vector>

#include <memsim/workload/distribution.hpp>

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

/// Inodes by number, which is their file's. A slab of them is given back when the last one in it
/// has gone.
///
/// Modelling assumption: an inode that is not open goes when the shrinker comes to it and its file
/// has no page in memory; the one unused for longest is looked at first.
class inode_cache final : public shrinker {
 public:
  explicit inode_cache(recipe_memory& memory) : memory_{memory} { memory.add_shrinker(*this); }
  inode_cache(const inode_cache&) = delete;
  inode_cache& operator=(const inode_cache&) = delete;
  ~inode_cache() override { memory_.remove_shrinker(*this); }

  [[nodiscard]] std::expected<file_id, error> create(frame_count size) {
    if (inodes_.size() % inodes_in_slab == 0) {
      const auto slab = memory_.kernel_memory(order{0}, gfp_kernel | gfp_flag::reclaimable);
      if (!slab) return std::unexpected{slab.error()};
      slabs_.push_back({.block = *slab, .inodes = inodes_in_slab});
    }
    inodes_.push_back({.size = size, .opened = 1});
    return memory_.files().add_file();
  }
  /// \return false if the inode has gone
  bool open(file_id file) {
    auto& i = inodes_[number_of(file)];
    if (i.is_gone) return false;
    ++i.opened;
    return true;
  }
  void close(file_id file) {
    auto& i = inodes_[number_of(file)];
    if (--i.opened > 0 || i.is_listed) return;
    i.is_listed = true;
    unused_.push_back(file);
  }

  /// Drops inodes as long as the kernel has too much, and some can go.
  void shrink_to_target() {
    for (auto left = count(); left > 0 && memory_.kernel() > memory_.kernel_target(); --left) {
      look_at_next();
    }
  }

  [[nodiscard]] std::size_t size() const { return inodes_.size(); }
  [[nodiscard]] frame_count size_of(file_id file) const { return inodes_[number_of(file)].size; }

  // shrinker
  [[nodiscard]] std::uint64_t count() const override { return unused_.size(); }
  std::uint64_t scan(context&, std::uint64_t objects) override {
    const auto looked_at = std::min<std::uint64_t>(objects, unused_.size());
    for (auto n = looked_at; n > 0; --n) look_at_next();
    return looked_at;
  }

 private:
  struct inode {
    frame_count size = 0;  ///< of its file
    std::uint32_t opened = 0;
    bool is_listed = false;  ///< among those that are unused
    bool is_gone = false;
  };
  struct inode_slab {
    kernel_block block{};
    std::uint32_t inodes = 0;
  };

  // The first file of a page cache is the recipe's own.
  static std::size_t number_of(file_id file) { return static_cast<std::size_t>(file) - 1; }

  void look_at_next() {
    const auto file = unused_.front();
    unused_.pop_front();
    auto& i = inodes_[number_of(file)];
    i.is_listed = i.opened == 0 && memory_.files().cached(file) > 0;
    if (i.is_listed) unused_.push_back(file);
    if (i.is_listed || i.opened > 0) return;
    i.is_gone = true;
    auto& slab = slabs_[number_of(file) / inodes_in_slab];
    if (--slab.inodes == 0) memory_.free(slab.block);
  }

  recipe_memory& memory_;
  std::vector<inode> inodes_;
  std::vector<inode_slab> slabs_;
  std::deque<file_id> unused_;
};

/// Somebody who reads one file after another.
struct reader {
  file_id file{};
  frame_count at = 0;
  frame_count end = 0;
};

class file_server final : public recipe_course {
 public:
  explicit file_server(recipe_memory& memory)
      : memory_{memory},
        inodes_{memory},
        random_{memory.stream("files")},
        sizes_{distribution::log_uniform(1, memory.whole("largest_file"))},
        readers_(memory.whole("readers")) {}

  std::expected<turn_end, error> turn() override {
    memory_.change_cpu();
    auto& who = readers_[random_.below(readers_.size())];
    const auto done = who.at == who.end ? open_next(who) : read_on(who);
    if (!done) return std::unexpected{done.error()};
    memory_.evict_to_target();
    return turn_end::may_end;
  }

  void end() override {
    memory_.come_down();
    memory_.evict_to_target();
    inodes_.shrink_to_target();
  }

 private:
  std::expected<void, error> open_next(reader& who) {
    auto size = sizes_.draw(random_);
    if (inodes_.size() > 0 && random_.chance(memory_.parameter("reread"))) {
      const auto again = file_id{static_cast<std::uint32_t>(1 + random_.below(inodes_.size()))};
      size = inodes_.size_of(again);
      if (inodes_.open(again)) {
        who = {.file = again, .end = size};
        return {};
      }
    }
    const auto file = inodes_.create(size);
    if (!file) return std::unexpected{file.error()};
    who = {.file = *file, .end = size};
    return {};
  }

  std::expected<void, error> read_on(reader& who) {
    const auto window = std::min(who.end - who.at, memory_.whole("readahead"));
    for (const auto end = who.at + window; who.at < end; ++who.at) {
      if (auto read = memory_.read(who.file, who.at); !read) return read;
    }
    if (who.at == who.end) inodes_.close(who.file);
    return memory_.churn_kernel(memory_.parameter("kernel_churn"));
  }

  recipe_memory& memory_;
  inode_cache inodes_;
  random_stream random_;
  distribution sizes_;
  std::vector<reader> readers_;
};

}  // namespace

constinit const recipe_entry page_cache_churn{
    .description = {.name = "page_cache_churn",
                    .models = "a file server: files of all sizes are read through readahead, pages "
                              "not used again make room, inodes go when their files' pages have",
                    .leaves = "free memory in runs of the length of readahead windows and files",
                    .parameters = parameters},
    .begin = begin_course<file_server>};

}  // namespace memsim::detail
