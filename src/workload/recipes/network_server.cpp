// SPDX-License-Identifier: Apache-2.0
// A long-running server: a heap that stays, files, and buffers for packets that come in bursts.
#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <expected>
#include <vector>

#include "workload/recipe_memory.hpp"

namespace memsim::detail {
namespace {

constexpr std::array parameters{
    recipe_parameter{"heap_share", "1", 0.5, 0, 0.95, rule::off,
                     "part of the user memory that is the server's heap; files have the rest"},
    recipe_parameter{"heap_churn", "pages", 5, 0, 1000, rule::off,
                     "pages of the heap given back and taken anew for a burst"},
    recipe_parameter{"burst", "packets", 256, 1, 65536, rule::on, "the longest burst"},
    recipe_parameter{"queue", "1", 0.01, 0, 0.2, rule::off,
                     "part of memory that packets in flight may take"},
    recipe_parameter{"pages_a_packet", "pages", 0.5, 0.01, 64, rule::off,
                     "pages of files read for a packet"},
    recipe_parameter{"kernel_churn", "pages", 20, 0, 1000, rule::off,
                     "long-lived kernel pages replaced for a thousand pages of files and heap"},
};

/// Orders of packet buffers, of a hundred. A modelling assumption: half of them fit a page, a tenth
/// are the 32 KiB that the network stack asks for at once.
constexpr std::array<unsigned, 4> buffers_of_order{50, 20, 20, 10};

/// Pages by which the heap grows before it is served from, in a turn.
constexpr frame_count heap_pages_a_turn = 256;

class server final : public recipe_course {
 public:
  explicit server(recipe_memory& memory)
      : memory_{memory},
        random_{memory.stream("packets")},
        queue_limit_{static_cast<frame_count>(memory.parameter("queue") *
                                              static_cast<double>(memory.managed()))},
        heap_to_build_{heap_target()} {}

  std::expected<turn_end, error> turn() override {
    if (heap_to_build_ > 0) {
      if (auto built = build_heap(); !built) return std::unexpected{built.error()};
      return heap_to_build_ > 0 ? turn_end::goes_on : turn_end::may_end;
    }
    memory_.change_cpu();
    const auto packets = 1 + random_.below(memory_.whole("burst"));
    receive(packets);
    if (auto served = serve(packets); !served) return std::unexpected{served.error()};
    memory_.change_cpu();
    deliver();
    return turn_end::may_end;
  }

  // The heap gives back what it has no use for; the packets in flight stay.
  void end() override {
    memory_.come_down();
    while (heap_.size() > heap_target()) give_back_any();
    memory_.evict_to_target();
  }

 private:
  [[nodiscard]] frame_count heap_target() const {
    return static_cast<frame_count>(memory_.parameter("heap_share") *
                                    static_cast<double>(memory_.user_target()));
  }

  void give_back_any() {
    std::swap(heap_[random_.below(heap_.size())], heap_.back());
    memory_.free(heap_.back());
    heap_.pop_back();
  }

  std::expected<void, error> build_heap() {
    for (auto n = std::min(heap_pages_a_turn, heap_to_build_); n > 0; --n, --heap_to_build_) {
      if (auto grown = grow_heap(); !grown) return grown;
      if ((heap_.size() - 1) % heap_pages_a_turn != 0) continue;
      if (auto kept = memory_.keep_kernel_share(); !kept) return kept;
    }
    return {};
  }

  std::expected<void, error> grow_heap() {
    const auto page = memory_.user_page();
    if (!page) return std::unexpected{page.error()};
    heap_.push_back(*page);
    return {};
  }

  order buffer_order() {
    auto draw = random_.below(100);
    unsigned size = 0;
    while (draw >= buffers_of_order[size]) draw -= buffers_of_order[size++];
    return order{size};
  }

  void receive(std::uint64_t packets) {
    for (; packets > 0; --packets) {
      const auto buffer =
          in_flight_frames_ < queue_limit_ ? memory_.atomic_block(buffer_order()) : std::nullopt;
      if (buffer) {
        in_flight_.push_back(*buffer);
        in_flight_frames_ += buffer->frames();
      } else {
        ++memory_.own_counts().packets_dropped;
      }
    }
  }

  std::expected<void, error> serve(std::uint64_t packets) {
    pages_owed_ += static_cast<double>(packets) * memory_.parameter("pages_a_packet");
    for (; pages_owed_ >= 1; pages_owed_ -= 1) {
      if (auto read = memory_.read_once(); !read) return read;
    }
    heap_owed_ += memory_.parameter("heap_churn");
    for (; heap_owed_ >= 1 && !heap_.empty(); heap_owed_ -= 1) {
      give_back_any();
      if (auto grown = grow_heap(); !grown) return grown;
    }
    memory_.evict_to_target();
    return memory_.churn_kernel(memory_.parameter("kernel_churn"));
  }

  // Mostly the oldest; how far the readers of sockets come before the next burst is drawn.
  void deliver() {
    for (auto n = random_.below(in_flight_.size() + 1); n > 0; --n) {
      in_flight_frames_ -= in_flight_.front().frames();
      memory_.free(in_flight_.front());
      in_flight_.pop_front();
    }
  }

  recipe_memory& memory_;
  random_stream random_;
  frame_count queue_limit_;
  frame_count heap_to_build_;
  std::vector<user_block> heap_;
  std::deque<kernel_block> in_flight_;
  frame_count in_flight_frames_ = 0;
  double pages_owed_ = 0;
  double heap_owed_ = 0;
};

}  // namespace

constinit const recipe_entry network_server{
    .description = {.name = "network_server",
                    .models = "a server that runs for long: a heap that stays, files it reads, and "
                              "atomic buffers of one to eight pages that come in bursts",
                    .leaves = "the heap in place, file pages and packet buffers in what it left",
                    .parameters = parameters},
    .begin = begin_course<server>};

}  // namespace memsim::detail
