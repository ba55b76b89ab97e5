// SPDX-License-Identifier: Apache-2.0
#include "metrics/png.hpp"

#include <cstdint>
#include <string>
#include <vector>

#include <memsim/core/error.hpp>

#include "catch.hpp"

using namespace memsim;
using namespace memsim::detail;

namespace {

/// Undoes what the encoder may do: deflate blocks of the fixed code, by the tables of RFC 1951
/// written out anew.
class inflater {
 public:
  explicit inflater(std::string_view data) : data_{data} {}

  std::string run() {
    REQUIRE(bits(1) == 1);
    REQUIRE(bits(2) == 1);
    for (;;) {
      const unsigned s = symbol();
      if (s == 256) return out_;
      if (s < 256) {
        out_ += static_cast<char>(s);
        continue;
      }
      const unsigned length = extended(s - 257, 3, 4, 258);
      const unsigned distance = extended(code(5), 1, 2, 0);
      REQUIRE(distance <= out_.size());
      for (unsigned i = 0; i < length; ++i) out_ += out_[out_.size() - distance];
    }
  }

 private:
  unsigned bit() {
    REQUIRE(at_ / 8 < data_.size());
    const auto byte = static_cast<unsigned char>(data_[at_ / 8]);
    return byte >> at_++ % 8 & 1;
  }
  unsigned bits(unsigned count) {
    unsigned value = 0;
    for (unsigned i = 0; i < count; ++i) value |= bit() << i;
    return value;
  }
  unsigned code(unsigned count) {
    unsigned value = 0;
    for (unsigned i = 0; i < count; ++i) value = value << 1 | bit();
    return value;
  }
  unsigned symbol() {
    unsigned c = code(7);
    if (c < 24) return 256 + c;
    c = c << 1 | bit();
    if (c < 0xc0) return c - 0x30;
    if (c < 0xc8) return c - 0xc0 + 280;
    return (c << 1 | bit()) - 0x190 + 144;
  }
  // Both tables grow by one extra bit every `per_bit` entries.
  unsigned extended(unsigned entry, unsigned smallest, unsigned per_bit, unsigned last) {
    if (last != 0 && entry == 28) return last;
    unsigned first = smallest;
    unsigned extra = 0;
    for (unsigned i = 0; i < entry; ++i) {
      extra = i < per_bit * 2 ? 0 : i / per_bit - 1;
      first += 1u << extra;
    }
    extra = entry < per_bit * 2 ? 0 : entry / per_bit - 1;
    return first + bits(extra);
  }

  std::string_view data_;
  std::size_t at_ = 0;
  std::string out_;
};

std::uint32_t number_at(std::string_view data, std::size_t at) {
  std::uint32_t number = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    number = number << 8 | static_cast<unsigned char>(data[at + i]);
  }
  return number;
}

struct png_chunk {
  std::string type;
  std::string data;
  std::uint32_t crc;
};

std::vector<png_chunk> chunks_of(std::string_view png) {
  std::vector<png_chunk> chunks;
  for (std::size_t at = 8; at < png.size();) {
    const auto size = number_at(png, at);
    chunks.push_back({std::string{png.substr(at + 4, 4)}, std::string{png.substr(at + 8, size)},
                      number_at(png, at + 8 + size)});
    at += 12 + size;
  }
  return chunks;
}

const std::vector<rgba> two_colours{{1, 2, 3, 4}, {250, 251, 252, 255}};

/// The pixels of an encoded picture, each row after its filter byte.
std::string decoded(const std::vector<std::uint8_t>& pixels, std::uint32_t width,
                    const std::vector<rgba>& palette = two_colours) {
  const auto chunks = chunks_of(png_of(pixels, width, palette));
  REQUIRE(chunks.size() == 5);
  return inflater{std::string_view{chunks[3].data}.substr(2)}.run();
}

std::string rows_of(const std::vector<std::uint8_t>& pixels, std::uint32_t width) {
  std::string rows;
  for (std::size_t i = 0; i < pixels.size(); ++i) {
    if (i % width == 0) rows += '\0';
    rows += static_cast<char>(pixels[i]);
  }
  return rows;
}

}  // namespace

TEST_CASE("a PNG has its header, palette, transparency, pixels and end", "[metrics]") {
  const auto png = png_of(std::vector<std::uint8_t>{0, 1, 1, 0, 0, 1}, 3, two_colours);
  CHECK(png.substr(0, 8) == "\x89PNG\r\n\x1a\n");
  const auto chunks = chunks_of(png);
  REQUIRE(chunks.size() == 5);
  CHECK(chunks[0].type == "IHDR");
  CHECK(chunks[0].data == std::string("\0\0\0\x03\0\0\0\x02\x08\x03\0\0\0", 13));
  CHECK(chunks[1].type == "PLTE");
  CHECK(chunks[1].data == "\x01\x02\x03\xfa\xfb\xfc");
  CHECK(chunks[2].type == "tRNS");
  CHECK(chunks[2].data == "\x04\xff");
  CHECK(chunks[3].type == "IDAT");
  CHECK(chunks[4].type == "IEND");
  CHECK(chunks[4].crc == 0xae426082);  // of the type alone, as in every PNG
}

TEST_CASE("the pixels of a PNG are those that went in", "[metrics]") {
  std::vector<rgba> palette(200);
  for (const std::uint32_t width : {1u, 2u, 7u, 64u, 512u, 5000u}) {
    CAPTURE(width);
    std::vector<std::uint8_t> pixels;
    for (std::uint32_t i = 0; i < width * 6; ++i) {
      // Noise with high and low symbols, even stretches, rows like those above.
      const auto row = i / width;
      pixels.push_back(static_cast<std::uint8_t>(row == 1   ? 7
                                                 : row == 3 ? i % 2
                                                 : row == 4 ? pixels[i - width]
                                                            : i * 31 % 200));
    }
    CHECK(decoded(pixels, width, palette) == rows_of(pixels, width));
  }
}

TEST_CASE("the check sum of the pixels is that of zlib", "[metrics]") {
  const auto chunks = chunks_of(png_of(std::vector<std::uint8_t>{1, 1, 1}, 3, two_colours));
  // Adler-32 of 0, 1, 1, 1: a = 1 + 3, b = 1 + 2 + 3 + 4.
  CHECK(number_at(chunks[3].data, chunks[3].data.size() - 4) == ((10u << 16) | 4u));
}

TEST_CASE("an even picture of a terabyte is small", "[metrics]") {
  const std::vector<std::uint8_t> pixels(std::size_t{1} << 19, 1);
  CHECK(png_of(pixels, 512, two_colours).size() < 8000);
}

TEST_CASE("a picture that cannot be is refused", "[metrics]") {
  const std::vector<std::uint8_t> pixels(6);
  CHECK_THROWS_AS(png_of(pixels, 0, two_colours), usage_error);
  CHECK_THROWS_AS(png_of(pixels, 4, two_colours), usage_error);
  CHECK_THROWS_AS(png_of({}, 4, two_colours), usage_error);
  CHECK_THROWS_AS(png_of(pixels, 3, std::vector<rgba>(257)), usage_error);
}

TEST_CASE("base64 pads to whole groups of four", "[metrics]") {
  CHECK(base64_of("") == "");
  CHECK(base64_of("M") == "TQ==");
  CHECK(base64_of("Ma") == "TWE=");
  CHECK(base64_of("Man") == "TWFu");
  CHECK(base64_of(std::string_view{"\xff\x00\xfe", 3}) == "/wD+");
}
