// SPDX-License-Identifier: Apache-2.0
#include <memsim/workload/ftrace_reader.hpp>

#include <sstream>

#include "catch.hpp"
#include "workload/line_reader.hpp"

using namespace memsim;
using namespace std::string_literals;

namespace {

constexpr auto free_line = "  sh-1   [000] .....     1.500000: mm_page_free: pfn=0x10 order=0";

// Reads to the end or the first error; the number of events, or the message.
struct reading {
  std::uint64_t events = 0;
  std::string message{};

  friend bool operator==(const reading&, const reading&) = default;
};

reading read_all(ftrace_reader& trace) {
  reading got;
  while (true) {
    const auto event = trace.next();
    if (!event) {
      got.message = event.error().message();
      return got;
    }
    if (!*event) return got;
    ++got.events;
  }
}

reading read_text(const std::string& text) {
  std::istringstream in{text};
  ftrace_reader trace{in, "t"};
  return read_all(trace);
}

}  // namespace

TEST_CASE("a reader gives the events of a file and then nothing", "[workload]") {
  std::istringstream in{fmt::format("# tracer: nop\n#\n{}\n\n{}\n", free_line, free_line)};
  ftrace_reader trace{in, "t"};
  CHECK(read_all(trace) == reading{2});
  CHECK(trace.line() == 5);
  CHECK(trace.bytes_read() == in.str().size());
  CHECK_FALSE(trace.next().value());
}

TEST_CASE("lines may end as on Windows", "[workload]") {
  CHECK(read_text(fmt::format("# a\r\n{}\r\n\r\n", free_line)) == reading{1});
}

TEST_CASE("a malformed line is an error with file, line and text", "[workload]") {
  CHECK(read_text(fmt::format("{}\nnon\tsense\x01\n", free_line)) ==
        reading{1, "t:2: not an event: \"non\\tsense\\x01\""});
  CHECK(read_text("a\0b\n"s).message == "t:1: a zero byte: \"a\\x00b\"");
}

TEST_CASE("the text of a malformed line is shown in part if it is long", "[workload]") {
  const auto message = read_text(std::string(10'000, 'x') + "\n").message;
  CHECK_THAT(message, ContainsSubstring("t:1: not an event: \"xxx"));
  CHECK(message.size() < 250);
}

TEST_CASE("a lenient reader counts malformed lines and goes on", "[workload]") {
  std::istringstream in{fmt::format("nonsense\n{}\nmore\n{}\n", free_line, free_line)};
  ftrace_reader trace{in, "t", strictness::lenient};
  CHECK(read_all(trace) == reading{2});
  CHECK(trace.malformed_lines() == 2);
  CHECK(trace.first_malformed() == "t:1: not an event: \"nonsense\"");
}

TEST_CASE("a file that ends within a line is malformed, also where the rest can be read",
          "[workload]") {
  const std::string whole = fmt::format("{}\n{}", free_line, free_line);
  for (std::size_t cut = whole.size(); cut > whole.size() / 2 + 1; --cut) {
    const auto got = read_text(whole.substr(0, cut));
    REQUIRE(got.events == 1);
    REQUIRE_THAT(got.message, ContainsSubstring("t:2: the file ends within this line"));
  }
}

TEST_CASE("a line longer than any of the kernel's is passed over in bounded memory", "[workload]") {
  const auto length = GENERATE(std::size_t{detail::max_line_bytes + 1}, std::size_t{1'000'000});
  std::istringstream in{
      fmt::format("{}\n{}\n{}\n", free_line, std::string(length, ' '), free_line)};
  ftrace_reader trace{in, "t", strictness::lenient};
  CHECK(read_all(trace) == reading{2});
  CHECK(trace.malformed_lines() == 1);
  CHECK_THAT(trace.first_malformed(), ContainsSubstring("t:2: longer than 65536 bytes: \"   "));
  CHECK(trace.line() == 3);
  CHECK(trace.bytes_read() == in.str().size());
}

TEST_CASE("a line too long is passed over wherever in the file it is", "[workload]") {
  const auto length = GENERATE(std::size_t{200'000}, std::size_t{4 * detail::max_line_bytes},
                               std::size_t{1'000'000});
  const std::string too_long(length, 'x');
  std::istringstream in{fmt::format("{0}\n{0}\n{1}\n{0}", too_long, free_line)};
  ftrace_reader trace{in, "t", strictness::lenient};
  CHECK(read_all(trace) == reading{1});
  CHECK(trace.malformed_lines() == 3);
  CHECK_THAT(trace.first_malformed(), ContainsSubstring("t:1: longer than 65536 bytes: \"xxx"));
  CHECK(trace.line() == 4);
  CHECK(trace.bytes_read() == in.str().size());
}

TEST_CASE("lines that straddle the reader's buffer are read whole", "[workload]") {
  std::string text;
  constexpr int lines = 20'000;
  for (int i = 0; i < lines; ++i) {
    text += fmt::format("{:>{}}-1 [000] 1.0: mm_page_free: pfn={} order=0\n", "a", i % 70 + 1, i);
  }
  std::istringstream in{text};
  ftrace_reader trace{in, "t"};
  for (unsigned i = 0; i < lines; ++i) {
    const auto event = trace.next();
    REQUIRE(event);
    REQUIRE(event->value().block == pfn{i});
  }
  CHECK_FALSE(trace.next().value());
}

TEST_CASE("lost events are added up", "[workload]") {
  std::istringstream in{
      fmt::format("CPU:0 [LOST 12 EVENTS]\n{}\nCPU:1 [LOST EVENTS]\n", free_line)};
  ftrace_reader trace{in, "t"};
  CHECK(read_all(trace) == reading{1});
  CHECK(trace.lost_events() == 13);
}

TEST_CASE("events of other names are counted by name", "[workload]") {
  std::istringstream in{
      "  a-1 [000] 1.0: rss_stat: x\n  a-1 [000] 1.0: kfree: y\n  a-1 [000] 1.0: rss_stat: z\n"};
  ftrace_reader trace{in, "t"};
  CHECK(read_all(trace) == reading{0});
  CHECK(trace.skipped() == std::vector<skipped_event>{{"kfree", 1}, {"rss_stat", 2}});
}

TEST_CASE("a file with endless names does not fill the memory with them", "[workload]") {
  std::string text;
  for (int i = 0; i < 3000; ++i) text += fmt::format("  a-1 [000] 1.0: event_{}: x\n", i);
  std::istringstream in{text};
  ftrace_reader trace{in, "t"};
  CHECK(read_all(trace) == reading{0});
  const auto skipped = trace.skipped();
  CHECK(skipped.size() == 1001);
  CHECK(skipped.front() == skipped_event{"(others)", 2000});
}

TEST_CASE("a trace that is not text is refused with what makes text of it", "[workload]") {
  const auto message = [](std::string text, strictness mode) {
    std::istringstream in{text += std::string(10, '\xff')};
    ftrace_reader trace{in, "t", mode};
    return read_all(trace).message;
  };
  const auto mode = GENERATE(strictness::strict, strictness::lenient);
  CHECK(message("\x17\x08\x44tracing6\0"s, mode) ==
        "t: this is a trace-cmd recording, not text: `trace-cmd report` makes text of it");
  CHECK_THAT(message("\xfd"
                     "7zXZ\0\n\n"s,
                     mode),
             ContainsSubstring("`xz -d`"));
  CHECK_THAT(message("\x1f\x8b\x08"s, mode), ContainsSubstring("`gzip -d`"));
  CHECK_THAT(message("\x28\xb5\x2f\xfd", mode), ContainsSubstring("`zstd -d`"));
}

TEST_CASE("a stream that breaks is an input error", "[workload]") {
  struct broken_buffer final : std::streambuf {
    int_type underflow() override { throw std::runtime_error{"disk on fire"}; }
  } buffer;
  std::istream in{&buffer};
  ftrace_reader trace{in, "t"};
  const auto event = trace.next();
  REQUIRE_FALSE(event);
  CHECK(event.error() == error{errc::io, "t:1: cannot read on"});
}
