// A golden file with something changed: the raw material of lies.
#ifndef LLMQ_TESTS_FORMATS_FORGERY_H_
#define LLMQ_TESTS_FORMATS_FORGERY_H_

#include <cstring>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>

#include "base/bytes.h"
#include "base/file.h"
#include "formats/littlebit_layout.h"
#include "tests/formats/golden_models.h"

namespace llmq::testing {

// Header and entries are changed in place; Seal() makes all checksums true again, so that a test
// reaches the check behind them.
class Forgery {
 public:
  explicit Forgery(const std::string& golden) : bytes(ReadTextFile(GoldenPath(golden))) {}

  littlebit_layout::Header& header() {
    return *reinterpret_cast<littlebit_layout::Header*>(bytes.data());
  }
  // Unaligned access is avoided by the layout: entries begin at multiples of 8, and std::string's
  // buffer is aligned to at least that.
  littlebit_layout::Entry& entry(const std::string& name) {
    size_t at = header().directory_offset;
    while (at < bytes.size()) {
      auto& found = *reinterpret_cast<littlebit_layout::Entry*>(bytes.data() + at);
      if (bytes.compare(at + sizeof(found), found.name_bytes, name) == 0) return found;
      at += sizeof(found) + AlignUp(found.name_bytes, littlebit_layout::kNameAlignment);
    }
    throw std::runtime_error("no section " + name);
  }
  char* name_of(const std::string& name) { return reinterpret_cast<char*>(&entry(name) + 1); }
  char* data_of(const std::string& name) { return bytes.data() + entry(name).offset; }

  // The checksum of one section's (changed) data.
  void SealSection(const std::string& name) {
    auto& e = entry(name);
    e.checksum = Checksum64(AsBytes(std::string_view(bytes).substr(e.offset, e.data_bytes)));
  }
  void SealDirectory() {
    header().directory_checksum =
        Checksum64(AsBytes(std::string_view(bytes).substr(header().directory_offset)));
  }
  void SealHeader() {
    header().header_checksum = Checksum64(
        AsBytes(std::string_view(bytes).substr(0, littlebit_layout::kHeaderChecksumOffset)));
  }
  void Seal() {
    SealDirectory();
    SealHeader();
  }

  void Write(const std::filesystem::path& path) const {
    std::ofstream(path, std::ios::binary) << bytes;
  }

  std::string bytes;
};

}  // namespace llmq::testing

#endif  // LLMQ_TESTS_FORMATS_FORGERY_H_
