// SPDX-License-Identifier: Apache-2.0
#include "base/file_kind.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <span>

#include "base/printable.h"

namespace gcvit {
namespace {

using namespace std::string_view_literals;

struct Magic {
  std::size_t offset;
  std::string_view bytes;
  std::string_view description;
};

// The first that fits is the one.
constexpr Magic kPacked[] = {
    {0, "PK\x03\x04"sv, "a ZIP archive"},
    {0, "PK\x05\x06"sv, "an empty ZIP archive"},
    {0, "\x1f\x8b"sv, "a gzip file (unpack it first)"},
    {4, "1AY&SY"sv, "a bzip2 file (unpack it first)"},  // behind BZh and a digit, which may begin a text
    {0,
     "\xfd"
     "7zXZ\0"sv,
     "an xz file (unpack it first)"},
    {0, "\x28\xb5\x2f\xfd"sv, "a Zstandard file (unpack it first)"},
    {0, "7z\xbc\xaf\x27\x1c"sv, "a 7-Zip archive (unpack it first)"},
    {0, "Rar!\x1a\x07"sv, "a RAR archive (unpack it first)"},
    {0, "\xff\xfe"sv, "UTF-16 text (save it as UTF-8)"},
    {0, "\xfe\xff"sv, "UTF-16 text (save it as UTF-8)"},
};
constexpr Magic kMagics[] = {
    {0, "\xff\xd8\xff"sv, "a JPEG image"},
    {0, "\x89PNG\r\n\x1a\n"sv, "a PNG image"},
    {0, "GIF8"sv, "a GIF image"},
    {0, "II*\0"sv, "a TIFF image"},
    {0, "MM\0*"sv, "a TIFF image"},
    {0, "II+\0"sv, "a TIFF image"},
    {0, "8BPS"sv, "a Photoshop document"},
    {0, "\0\0\0\x0cjP  "sv, "a JPEG 2000 image"},
    {0, "\xff\x4f\xff\x51"sv, "a JPEG 2000 image"},
    {0, "\0\0\0\x0cJXL "sv, "a JPEG XL image"},
    {0, "\xff\x0a"sv, "a JPEG XL image"},
    {4, "ftypavif"sv, "an AVIF image"},
    {4, "ftypavis"sv, "an AVIF image"},
    {4, "ftyphei"sv, "a HEIC image"},
    {4, "ftyphev"sv, "a HEIC image"},
    {4, "ftypmif1"sv, "a HEIF image"},
    {4, "ftypmsf1"sv, "a HEIF image"},
    {4, "ftyp"sv, "an MP4 or QuickTime film"},
    {0, "%PDF"sv, "a PDF document"},
    {0, "\x89HDF\r\n\x1a\n"sv, "an HDF5 file"},
    {257, "ustar"sv, "a tar archive (unpack it first)"},
    {0, "\x93NUMPY"sv, "a .npy array"},
    {0, "GGUF"sv, "a GGUF file"},
    {0, "\x80\x02"sv, "a Python pickle"},
    {0, "\x80\x03"sv, "a Python pickle"},
    {0, "\x80\x04"sv, "a Python pickle"},
    {0, "\x80\x05"sv, "a Python pickle"},
    {4, "TFL3"sv, "a TensorFlow Lite model"},
    {0,
     "\x7f"
     "ELF"sv,
     "a program or library"},
};

/// The description of the first that fits; empty where none does.
std::string_view first_that_fits(std::span<const Magic> magics, std::string_view head) {
  for (const Magic& magic : magics) {
    if (head.size() >= magic.offset && head.substr(magic.offset).starts_with(magic.bytes)) return magic.description;
  }
  return "";
}

constexpr std::size_t kShown = 48;

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& letter : result) {
    if (letter >= 'A' && letter <= 'Z') letter = static_cast<char>(letter + 32);
  }
  return result;
}

bool is_webp(std::string_view head) {
  return head.size() >= 12 && head.starts_with("RIFF") && head.substr(8, 4) == "WEBP";
}

/// Two letters alone could begin a text: behind the file's size stand four zeros.
bool is_bmp(std::string_view head) {
  return head.size() >= 10 && head.starts_with("BM") && head.substr(6, 4) == "\0\0\0\0"sv;
}

/// Text without control characters but for blanks, tabs and ends of lines; characters beyond ASCII are let through.
bool is_text(std::string_view head) {
  return std::ranges::none_of(head, [](char letter) {
    const auto byte = static_cast<unsigned char>(letter);
    return byte == 0x7f || (byte < 0x20 && byte != '\t' && byte != '\n' && byte != '\r' && byte != '\f');
  });
}

/// Its first bytes on one line.
std::string beginning_of(std::string_view text) {
  std::string line;
  for (const char letter : text.substr(0, 2 * kShown)) {
    const bool blank = letter == '\n' || letter == '\r' || letter == '\t' || letter == '\f' || letter == ' ';
    if (!blank) {
      line.push_back(letter);
    } else if (!line.empty() && line.back() != ' ') {
      line.push_back(' ');
    }
  }
  std::size_t end = std::min(line.size(), kShown);
  while (end < line.size() && end > 0 && (static_cast<unsigned char>(line[end]) & 0xc0u) == 0x80) --end;
  return printable(line.substr(0, end)) + (end < line.size() || text.size() > 2 * kShown ? "..." : "");
}

/// A text without what may stand before its first word.
std::string_view words_of(std::string_view head) {
  if (head.starts_with("\xef\xbb\xbf")) head.remove_prefix(3);
  head.remove_prefix(std::min(head.find_first_not_of(" \t\r\n\f"), head.size()));
  return head;
}

/// What stands for a file that lies elsewhere.
std::string_view pointer_kind(std::string_view head) {
  if (head.starts_with("version https://git-lfs.github.com/")) {
    return "a Git LFS pointer (fetch the file itself with `git lfs pull`)";
  }
  const std::string small = lower(head);
  if (small.starts_with("<!doctype html") || small.starts_with("<html") ||
      (small.starts_with("<!--") && small.find("<html") != small.npos)) {
    return "an HTML page";
  }
  return "";
}

std::string text_kind(std::string_view head) {
  if (head.empty()) return "";
  const std::string small = lower(head);
  if (small.find("<svg") != small.npos && small.starts_with('<')) return "an SVG drawing";
  if (small.starts_with("<?xml")) return "an XML document";
  if (!is_text(head)) return "";
  if (head.front() == '{' || head.front() == '[') return "JSON that begins " + beginning_of(head);
  return "a text that begins \"" + beginning_of(head) + '"';
}

/// Protocol buffers have no magic number: the first fields of two kinds of them, as those who write them order them.
std::string_view protobuf_kind(std::string_view head) {
  const auto byte = [&](std::size_t place) { return static_cast<std::uint8_t>(place < head.size() ? head[place] : 0); };
  if (byte(0) == 0x08 && byte(1) == 1 && byte(2) == 0x12) return "a TensorFlow SavedModel";
  // ir_version, then the producer's name, the graph or the operator sets
  if (byte(0) == 0x08 && byte(1) >= 2 && byte(1) < 32 && (byte(2) == 0x12 || byte(2) == 0x3a || byte(2) == 0x42)) {
    return "an ONNX model";
  }
  // A node that begins with its name, and the operation behind it
  if (byte(0) == 0x0a && byte(1) >= 4) {
    const std::size_t name = byte(1) < 0x80 ? 2 : 3;
    if (byte(name) == 0x0a && byte(name + 1) > 0 && byte(name + 2 + byte(name + 1)) == 0x12) {
      return "a TensorFlow graph";
    }
  }
  return "";
}

}  // namespace

std::string file_kind(std::string_view head) {
  head = head.substr(0, kFileKindBytes);
  if (head.empty()) return "an empty file";
  if (std::string wrapped = placeholder_or_packed_kind(head); !wrapped.empty()) return wrapped;
  if (const std::string_view kind = first_that_fits(kMagics, head); !kind.empty()) return std::string(kind);
  if (is_webp(head)) return "a WebP image";
  if (is_bmp(head)) return "a BMP image";
  if (std::string text = text_kind(words_of(head)); !text.empty()) return text;
  if (head.size() >= 16 && head.find_first_not_of('\0') == head.npos) return "zeros";
  // A safetensors header: its length, then JSON
  if (head.size() > 9 && head[8] == '{' && head.substr(5, 3) == "\0\0\0"sv) return "a safetensors file";
  return std::string(protobuf_kind(head));
}

std::string placeholder_or_packed_kind(std::string_view head) {
  head = head.substr(0, kFileKindBytes);
  const std::string_view packed = first_that_fits(kPacked, head);
  return std::string(packed.empty() ? pointer_kind(words_of(head)) : packed);
}

std::string file_kind(std::span<const std::byte> head) {
  return file_kind(std::string_view(reinterpret_cast<const char*>(head.data()), head.size()));
}

std::string placeholder_or_packed_kind(std::span<const std::byte> head) {
  return placeholder_or_packed_kind(std::string_view(reinterpret_cast<const char*>(head.data()), head.size()));
}

std::string found_kind(std::string_view head) {
  std::string kind = file_kind(head);
  return kind.empty() ? "something else" : kind;
}

}  // namespace gcvit
