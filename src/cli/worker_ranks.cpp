// SPDX-License-Identifier: Apache-2.0
#include "worker_ranks.hpp"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>
#include <thread>
#include <utility>

#include <fmt/format.h>

namespace memsim::cli {
namespace {

using namespace std::chrono_literals;
using clock = std::chrono::steady_clock;

// MPI waits by turning in a circle, on a core that a job could have.
constexpr auto between_looks = 2ms;

std::size_t number_at_start_of(std::string_view text) {
  std::size_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

void report(rank_group& all, const ended_job& ended) {
  all.send(0, ended.result ? message_kind::result : message_kind::failure,
           fmt::format("{} {}", ended.job,
                       ended.result ? *ended.result : ended.result.error().message()));
}

ended_job read_report(const message& m) {
  auto text = m.text.substr(m.text.find(' ') + 1);
  ended_job ended{.job = number_at_start_of(m.text)};
  if (m.kind == message_kind::result) {
    ended.result = std::move(text);
  } else {
    ended.result = fail(errc::io, "{}", text);
  }
  return ended;
}

/// A rank that is not the first.
class servant {
 public:
  servant(rank_group& all, unsigned at_once, const job_preparation& prepare)
      : all_{all},
        at_once_{at_once},
        prepare_{prepare},
        processes_{at_once, [this](std::size_t job) { return run_(job); }} {}

  /// \return the exit status, once dismissed
  std::optional<int> read(const message& m) {
    if (m.kind == message_kind::dismissal) return static_cast<int>(number_at_start_of(m.text));
    if (m.kind == message_kind::briefing) begin(m.text);
    if (m.kind == message_kind::job) {
      const auto started = processes_.start(number_at_start_of(m.text));
      if (!started) refuse(started.error());
    }
    return std::nullopt;
  }

  void wait() {
    const auto ended = processes_.wait(between_looks);
    if (!ended) return refuse(ended.error());
    for (const auto& e : *ended) report(all_, e);
  }

 private:
  void begin(const std::string& briefing) {
    auto run = prepare_(briefing);
    if (!run) return refuse(run.error());
    run_ = std::move(*run);
    for (unsigned i = 0; i < at_once_; ++i) all_.send(0, message_kind::request, "");
  }

  void refuse(const error& why) { all_.send(0, message_kind::refusal, why.message()); }

  rank_group& all_;
  unsigned at_once_;
  const job_preparation& prepare_;
  job_function run_;
  worker_processes processes_;
};

std::optional<int> serve_until_dismissed(rank_group& all, servant& self) {
  while (const auto m = all.take()) {
    if (const auto status = self.read(*m)) return status;
  }
  self.wait();
  return std::nullopt;
}

}  // namespace

worker_ranks::worker_ranks(rank_group& all, worker_processes& own, const std::string& briefing)
    : all_{all}, own_{own} {
  for (unsigned rank = 1; rank < all_.ranks(); ++rank) {
    all_.send(rank, message_kind::briefing, briefing);
  }
}

std::expected<void, error> worker_ranks::start(std::size_t job) {
  if (waiting_.empty()) return own_.start(job);
  all_.send(waiting_.front(), message_kind::job, fmt::format("{}", job));
  waiting_.pop_front();
  ++given_;
  return {};
}

std::expected<std::vector<ended_job>, error> worker_ranks::wait(std::chrono::milliseconds longest) {
  const auto until = clock::now() + longest;
  for (bool heard = false;;) {
    auto ended = own_.wait(between_looks);
    if (!ended) return ended;
    while (const auto m = all_.take()) {
      if (auto read_it = read(*m, *ended); !read_it) return std::unexpected{read_it.error()};
      heard = true;
    }
    if (heard || !ended->empty() || clock::now() >= until) return ended;
  }
}

std::expected<void, error> worker_ranks::read(const message& m, std::vector<ended_job>& ended) {
  if (m.kind == message_kind::refusal) return fail(errc::io, "rank {}: {}", m.rank, m.text);
  waiting_.push_back(m.rank);  // whose job has ended wants another
  if (m.kind == message_kind::request) return {};
  --given_;
  ended.push_back(read_report(m));
  return {};
}

int serve(rank_group& all, unsigned at_once, const job_preparation& prepare) {
  std::optional<int> status;
  {
    servant self{all, at_once, prepare};
    while (!status) status = serve_until_dismissed(all, self);
  }
  all.send(0, message_kind::farewell, "");
  return *status;
}

void dismiss(rank_group& all, int status) {
  for (unsigned rank = 1; rank < all.ranks(); ++rank) {
    all.send(rank, message_kind::dismissal, fmt::format("{}", status));
  }
  // What they still had to say has to be heard, for sending may wait for that.
  for (auto left = all.ranks() - 1; left != 0;) {
    const auto m = all.take();
    if (!m) {
      std::this_thread::sleep_for(between_looks);
    } else if (m->kind == message_kind::farewell) {
      --left;
    }
  }
}

}  // namespace memsim::cli
