// SPDX-License-Identifier: Apache-2.0
#include "cli/tracefs.hpp"

#include <chrono>
#include <csignal>
#include <sstream>
#include <thread>

#include <sys/wait.h>
#include <unistd.h>

#include "catch.hpp"
#include "temporary_directory.hpp"

using namespace memsim;
using namespace memsim::cli;
using test::temporary_directory;

namespace {

namespace fs = std::filesystem;

constexpr auto two_events =
    "  sh-1   [000] .....  1.000001: mm_page_alloc: pfn=0x1 order=0 migratetype=0 gfp_flags=0\n"
    "  sh-1   [000] .....  1.000002: mm_page_free: pfn=0x1 order=0\n";

/// Plain files where tracefs has its own, set as a host might have set them.
struct fake_instance : temporary_directory {
  fake_instance() {
    for (const char* const file : {"tracing_on", "options/overwrite", "options/raw",
                                   "options/latency-format", "events/kmem/mm_page_alloc/enable"}) {
      write(file, "1\n");
    }
    write("options/irq-info", "0\n");
    write("trace_clock", "[local] global mono\n");
    write("buffer_size_kb", "7 (expanded: 1408)\n");
    write("trace_pipe", two_events);
    write("per_cpu/cpu0/stats", "entries: 5\noverrun: 0\ncommit overrun: 0\ndropped events: 0\n");
    write("per_cpu/cpu1/stats",
          "entries: 5\noverrun: 3\ncommit overrun: 40\ndropped events: 500\n");
  }
};

}  // namespace

TEST_CASE("tracefs is looked up among the mounts", "[cli]") {
  temporary_directory proc;
  proc.write("mounts",
             "proc /proc proc rw 0 0\n"
             "nodev /sys/kernel/my\\040tracing tracefs rw,nosuid 0 0\n");
  CHECK(find_tracefs(proc.path()) == fs::path{"/sys/kernel/my tracing"});
}

TEST_CASE("without tracefs the error says what to do", "[cli]") {
  temporary_directory proc;
  proc.write("mounts", "proc /proc proc rw 0 0\n");

  SECTION("it is not mounted") {
    proc.write("filesystems", "nodev\tproc\nnodev\ttracefs\n");
    CHECK_THAT(find_tracefs(proc.path()).error().message(),
               ContainsSubstring("mount -t tracefs nodev /sys/kernel/tracing"));
  }
  SECTION("the kernel has none") {
    proc.write("filesystems", "nodev\tproc\n");
    CHECK_THAT(find_tracefs(proc.path()).error().message(), ContainsSubstring("CONFIG_FTRACE"));
  }
  SECTION("the mounts cannot be read") {
    CHECK(find_tracefs(proc.path() / "none").error().code() == errc::io);
  }
}

TEST_CASE("an instance is set up whatever the host has set, and records nothing yet", "[cli]") {
  fake_instance fake;
  trace_instance instance{fake.path()};
  REQUIRE(instance.prepare(4096));

  CHECK(fake.read("tracing_on") == "0");
  CHECK(fake.read("trace_clock") == "mono");
  CHECK(fake.read("buffer_size_kb") == "4096");
  CHECK(fake.read("options/overwrite") == "0");
  CHECK(fake.read("options/raw") == "0");
  CHECK(fake.read("options/latency-format") == "0");
  CHECK(fake.read("options/irq-info") == "1");
  CHECK_FALSE(fs::exists(fake.path() / "options/hex"));  // a kernel without this option

  REQUIRE(instance.start());
  CHECK(fake.read("tracing_on") == "1");
  REQUIRE(instance.stop());
  CHECK(fake.read("tracing_on") == "0");
}

TEST_CASE("what cannot be set is named", "[cli]") {
  fake_instance fake;
  trace_instance instance{fake.path()};

  SECTION("no such file") {
    fs::remove(fake.path() / "trace_clock");
    CHECK_THAT(instance.prepare(1).error().message(),
               ContainsSubstring("trace_clock: No such file"));
  }
  SECTION("no buffer") {
    fs::remove(fake.path() / "buffer_size_kb");
    fs::create_symlink("/dev/full", fake.path() / "buffer_size_kb");
    CHECK_THAT(instance.prepare(1234).error().message(),
               ContainsSubstring("a buffer of 1234 KiB for each CPU cannot be had") &&
                   ContainsSubstring("No space left"));
  }
  SECTION("no event") {
    CHECK_THAT(instance.enable("kmem/mm_page_free").error().message(),
               ContainsSubstring("kmem/mm_page_free/enable"));
  }
}

TEST_CASE("an instance knows its events and its CPUs", "[cli]") {
  fake_instance fake;
  trace_instance instance{fake.path()};
  CHECK(instance.has_event("kmem/mm_page_alloc"));
  CHECK_FALSE(instance.has_event("kmem/mm_page_free"));
  CHECK(instance.cpus() == std::vector{0u, 1u});

  REQUIRE(instance.enable("kmem/mm_page_alloc"));
  CHECK(fake.read("events/kmem/mm_page_alloc/enable") == "1");
}

TEST_CASE("draining moves the text as it is and counts its events", "[cli]") {
  fake_instance fake;
  trace_instance instance{fake.path()};
  REQUIRE(instance.prepare(1));

  std::ostringstream out;
  const auto first = instance.drain(out);
  REQUIRE(first);
  CHECK(first->events == 2);
  CHECK(first->empty);
  CHECK(out.str() == two_events);
  CHECK(instance.drain(out)->events == 0);
}

TEST_CASE("lost events are added up for each CPU", "[cli]") {
  fake_instance fake;
  trace_instance instance{fake.path()};
  CHECK(instance.lost() == std::vector{lost_on_cpu{.cpu = 1, .events = 543}});

  fs::remove(fake.path() / "per_cpu/cpu0/stats");
  CHECK(instance.lost().error().code() == errc::io);
}

TEST_CASE("an instance is gone when its owner is", "[cli]") {
  temporary_directory tracefs;
  fs::create_directory(tracefs.path() / "instances");
  const fs::path directory = tracefs.path() / "instances" / "memsim-test";

  SECTION("by the end of its scope") {
    {
      const auto made = trace_instance::make(tracefs.path(), "memsim-test");
      REQUIRE(made);
      CHECK(fs::exists(directory));
    }
    CHECK_FALSE(fs::exists(directory));
  }
  SECTION("by request") {
    const auto made = trace_instance::make(tracefs.path(), "memsim-test");
    REQUIRE((*made)->remove());
    CHECK_FALSE(fs::exists(directory));
  }
  SECTION("killed") {
    const pid_t owner = fork();
    if (owner == 0) {
      const auto made = trace_instance::make(tracefs.path(), "memsim-test");
      for (;;) pause();
    }
    const auto wait_until = [&](bool there) {
      for (int i = 0; i < 3000 && fs::exists(directory) != there; ++i) {
        std::this_thread::sleep_for(std::chrono::milliseconds{10});
      }
      return fs::exists(directory) == there;
    };
    CHECK(wait_until(true));
    kill(owner, SIGKILL);
    waitpid(owner, nullptr, 0);
    CHECK(wait_until(false));
  }
}

TEST_CASE("an instance that cannot be made or removed is an error", "[cli]") {
  temporary_directory tracefs;
  CHECK_THAT(trace_instance::make(tracefs.path(), "x").error().message(),
             ContainsSubstring("not a tracefs with instances"));

  fs::create_directory(tracefs.path() / "instances");
  tracefs.write("instances/taken/file", "");
  CHECK_THAT(trace_instance::make(tracefs.path(), "taken").error().message(),
             ContainsSubstring("File exists"));
  CHECK_THAT(trace_instance{tracefs.path() / "instances/taken"}.remove().error().message(),
             ContainsSubstring("cannot be removed"));
}
