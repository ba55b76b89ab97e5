// SPDX-License-Identifier: Apache-2.0
#include <memsim/frames/frame_table.hpp>

#include <fstream>

#include <memsim/core/error.hpp>
#include <memsim/frames/memory_map.hpp>

#include "catch.hpp"

using namespace memsim;

namespace {

// Resident memory of this process, in pages.
std::uint64_t resident_pages() {
  std::uint64_t size = 0;
  std::uint64_t resident = 0;
  std::ifstream{"/proc/self/statm"} >> size >> resident;
  return resident;
}

}  // namespace

SCENARIO("a frame mark says what it was made of", "[frames][frame_table]") {
  CHECK(frame_mark{}.use() == frame_use::none);
  CHECK_FALSE(frame_mark{}.movable());
  for (unsigned o = 0; o < page_orders; ++o) {
    CAPTURE(o);
    for (unsigned list = 0; list < 8; ++list) {
      const auto free = frame_mark::free(o, list);
      CHECK(free.use() == frame_use::free);
      CHECK(free.order() == o);
      CHECK(free.list() == list);
      CHECK(free.is_free(o));
      CHECK_FALSE(free.is_free(o + 1));
      CHECK_FALSE(free.is_allocated(o));
      CHECK_FALSE(free.movable());
    }
    for (const auto& mark : {frame_mark::allocated(o), frame_mark::per_cpu(o)}) {
      CHECK(mark.order() == o);
      CHECK_FALSE(mark.is_free(o));
      CHECK_FALSE(mark.movable());
      CHECK(mark.with_movable(true).movable());
      CHECK(mark.with_movable(true).use() == mark.use());
      CHECK(mark.with_movable(true).order() == o);
      CHECK(mark.with_movable(true).with_movable(false) == mark);
    }
    CHECK(frame_mark::allocated(o).use() == frame_use::allocated);
    CHECK(frame_mark::allocated(o).with_movable(true).is_allocated(o));
    CHECK_FALSE(frame_mark::allocated(o).is_allocated(o ^ 1));
    CHECK(frame_mark::per_cpu(o).use() == frame_use::per_cpu);
    CHECK_FALSE(frame_mark::per_cpu(o).is_allocated(o));
  }
  CHECK(frame_mark{}.with_movable(true).use() == frame_use::none);
  CHECK(fmt::format("{}", frame_use::per_cpu) == "per-CPU");
}

SCENARIO("blocks of pageblock order and above have a column of their own",
         "[frames][frame_table]") {
  GIVEN("a table") {
    frame_table table{pfn{4096}};
    WHEN("a block of order 10 begins at a frame") {
      table.mark(1024, 10) = frame_mark::free(10, 1);
      THEN("the frame has that mark, and no mark among the small blocks") {
        CHECK(table.mark_at(pfn{1024}) == frame_mark::free(10, 1));
        CHECK(table.mark(1024, 3) == frame_mark{});
        CHECK(table.mark_at(pfn{1025}) == frame_mark{});
      }
    }
    WHEN("a small block begins at a pageblock's first frame") {
      table.mark(512, 3) = frame_mark::allocated(3);
      THEN("the frame has its mark") {
        CHECK(table.mark_at(pfn{512}) == frame_mark::allocated(3));
        CHECK(table.mark(512, 9) == frame_mark{});
      }
    }
    WHEN("a page is handed out") {
      table.set_allocated(7, 0);
      THEN("it is allocated, and can be used otherwise again") {
        CHECK(table.is_page_out(7));
        CHECK_FALSE(table.is_page_out(6));
        CHECK(table.is_allocated(7, 0));
        CHECK(table.mark_at(pfn{7}) == frame_mark::allocated(0));
        table.end_allocation(7, 0, frame_mark::per_cpu(0));
        CHECK_FALSE(table.is_allocated(7, 0));
        CHECK(table.mark_at(pfn{7}) == frame_mark::per_cpu(0));
      }
    }
    WHEN("a larger block is handed out") {
      table.set_allocated(8, 2);
      THEN("it is allocated with exactly its order") {
        CHECK(table.is_allocated(8, 2));
        CHECK_FALSE(table.is_allocated(8, 3));
        CHECK_FALSE(table.is_allocated(8, 0));
        table.end_allocation(8, 2, frame_mark{});
        CHECK_FALSE(table.is_allocated(8, 2));
      }
    }
  }
}

SCENARIO("pageblock tags and the touched bit do not disturb each other", "[frames][frame_table]") {
  frame_table table{pfn{4096}};
  for (unsigned tag = 0; tag < 8; ++tag) {
    table.set_tag(3, tag);
    CHECK(table.tag(3) == tag);
    CHECK_FALSE(table.touched(3));
  }
  table.touch(3);
  CHECK(table.touched(3));
  CHECK(table.tag(3) == 7);
  table.set_tag(3, 0);
  CHECK(table.touched(3));
  CHECK(table.tag(2) == 0);
}

SCENARIO("places of blocks below pageblock order and above are apart", "[frames][frame_table]") {
  frame_table table{pfn{4096}};
  table.place(1024, 3) = 7;
  table.place(1024, 9) = 8;
  CHECK(table.place(1024, 10) == 8);
  CHECK(table.place(1024, 0) == 7);
  CHECK(table.places()[1024] == 7);
  CHECK(table.place(1025, 0) == 0);
}

SCENARIO("a page that is out is taken back once", "[frames][frame_table]") {
  frame_table table{pfn{4096}};
  table.hand_out_page(65);
  table.hand_out_page(66);
  CHECK_FALSE(table.take_back_page_if_out(64));
  CHECK(table.take_back_page_if_out(65));
  CHECK_FALSE(table.take_back_page_if_out(65));
  CHECK(table.is_page_out(66));
}

SCENARIO("copying a frame table copies what was touched, and forks", "[frames][frame_table]") {
  GIVEN("a table with marks in a touched pageblock, a huge block, a tag and a place") {
    frame_table table{pfn{4096}};
    table.mark(600, 2) = frame_mark::free(2, 1);
    table.touch(1);
    table.set_allocated(1023, 0);
    table.mark(1024, 10) = frame_mark::allocated(10);
    table.set_tag(5, 4);
    table.place(600, 2) = 12;
    table.place(1024, 10) = 13;
    // Written without touch(): whoever does that breaks the contract.
    table.mark(3000, 0) = frame_mark::allocated(0);

    WHEN("it is copied") {
      frame_table copy{table};
      THEN("the copy has what was touched") {
        CHECK(copy.end() == table.end());
        CHECK(copy.mark_at(pfn{600}) == frame_mark::free(2, 1));
        CHECK(copy.is_page_out(1023));
        CHECK(copy.mark_at(pfn{1024}) == frame_mark::allocated(10));
        CHECK(copy.tag(5) == 4);
        CHECK(copy.touched(1));
        CHECK(copy.place(600, 2) == 12);
        CHECK(copy.place(1024, 10) == 13);
      }
      THEN("and nothing else") { CHECK(copy.mark_at(pfn{3000}) == frame_mark{}); }
      THEN("a change of one is none of the other") {
        copy.mark(600, 2) = frame_mark{};
        copy.take_back_page(1023);
        copy.place(600, 2) = 1;
        table.set_tag(5, 1);
        CHECK(table.mark_at(pfn{600}) == frame_mark::free(2, 1));
        CHECK(table.is_page_out(1023));
        CHECK(table.place(600, 2) == 12);
        CHECK(copy.tag(5) == 4);
      }
    }
    WHEN("it is assigned over another, of another size") {
      frame_table other{pfn{100}};
      other = table;
      THEN("that is a copy too") {
        CHECK(other.end() == pfn{4096});
        CHECK(other.mark_at(pfn{600}) == frame_mark::free(2, 1));
      }
    }
    WHEN("it is assigned to itself") {
      const auto& same = table;
      table = same;
      THEN("nothing is lost") { CHECK(table.mark_at(pfn{600}) == frame_mark::free(2, 1)); }
    }
    WHEN("it is moved") {
      const frame_table moved{std::move(table)};
      THEN("the marks have moved along") { CHECK(moved.tag(5) == 4); }
    }
  }
}

SCENARIO("a table whose end is no whole block can be copied", "[frames][frame_table]") {
  frame_table table{pfn{1000}};
  table.touch(1);
  table.mark(999, 0) = frame_mark::allocated(0);
  CHECK(frame_table{table}.mark_at(pfn{999}) == frame_mark::allocated(0));
  // The buddy of the last block of order 9 has a mark to look at.
  CHECK(table.pageblocks() % 2 == 0);
  CHECK(table.mark(512, 9) == frame_mark{});
}

SCENARIO("an untouched terabyte costs next to nothing", "[frames][frame_table]") {
  const auto before = resident_pages();
  frame_table table{pfn{(1_TiB).frames()}};
  table.mark(0, 10) = frame_mark::free(10, 1);
  table.set_tag(table.pageblocks() - 1, 1);
  CHECK(resident_pages() - before < (16_MiB).frames());
}

SCENARIO("a frame table refuses ends that it cannot number", "[frames][frame_table]") {
  CHECK_THROWS_AS((frame_table{pfn{0}}), usage_error);
  CHECK_THROWS_WITH((frame_table{max_frame_end + 1}),
                    ContainsSubstring(fmt::to_string(max_frame_end.value())));
}
