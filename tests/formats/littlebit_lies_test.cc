// Damaged and hostile .littlebit files: each lie is refused with its reason, and no prefix crashes.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "llmq/error.h"
#include "llmq/littlebit_file.h"
#include "tests/formats/forgery.h"
#include "tests/support/temporary_directory.h"

namespace llmq {
namespace {

using testing::Forgery;
using testing::GoldenPath;
using testing::TemporaryDirectory;

constexpr const char* kQ = "model.layers.0.self_attn.q_proj.weight";
constexpr const char* kNorm = "model.norm.weight";
constexpr const char* kEmbedding = "model.embed_tokens.weight";

void ExpectRefused(const std::filesystem::path& path, const std::string& message_part) {
  try {
    const LittleBitFile file(path);
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kGeneral);
    EXPECT_NE(error.message().find(message_part), std::string::npos) << error.message();
    EXPECT_TRUE(error.message().starts_with(path.string() + ": ")) << error.message();
  }
}

struct Lie {
  const char* name;
  void (*tell)(Forgery& file);
  const char* message_part;
  bool sealed = true;  // checksums are made true after the change
};

class LittleBitLieTest : public ::testing::TestWithParam<Lie> {};

TEST_P(LittleBitLieTest, IsRefused) {
  const TemporaryDirectory directory;
  Forgery file("one-path");
  GetParam().tell(file);
  if (GetParam().sealed) file.Seal();
  file.Write(directory / "lie.littlebit");
  ExpectRefused(directory / "lie.littlebit", GetParam().message_part);
}

void ReplaceData(Forgery& file, const std::string& section, const std::string& from,
                 const std::string& to) {
  const size_t at = file.bytes.find(from, file.entry(section).offset);
  ASSERT_NE(at, std::string::npos);
  ASSERT_EQ(from.size(), to.size());
  file.bytes.replace(at, from.size(), to);
}

INSTANTIATE_TEST_SUITE_P(
    Header, LittleBitLieTest,
    ::testing::Values(
        Lie{"Magic", [](Forgery& f) { f.bytes[0] = 'G'; }, "expected the magic \"LTBT\""},
        Lie{"FutureVersion", [](Forgery& f) { f.header().version = 4; },
            "expected a format version from 1 to 3, found 4", false},
        Lie{"VersionNotNeeded", [](Forgery& f) { f.header().version = 2; },
            "metadata: \"head_bits\": expected a value"},
        Lie{"VersionZero", [](Forgery& f) { f.header().version = 0; },
            "expected a format version from 1 to 3, found 0"},
        Lie{"HeaderChecksum", [](Forgery& f) { f.header().header_checksum ^= 1; },
            "header: checksum: expected", false},
        Lie{"FileSizeLarger", [](Forgery& f) { f.header().file_bytes += 64; },
            "file size: expected"},
        Lie{"TrailingByte", [](Forgery& f) { f.bytes += '\0'; }, "file size: expected"},
        Lie{"TrailingByteInDirectory",
            [](Forgery& f) {
              f.bytes += '\0';
              f.header().file_bytes += 1;
            },
            "directory size: expected"},
        Lie{"TrailingByteCounted",
            [](Forgery& f) {
              f.bytes += '\0';
              f.header().file_bytes += 1;
              f.header().directory_bytes += 1;
            },
            "directory: expected the end"},
        Lie{"Flags", [](Forgery& f) { f.header().flags = 1; }, "flags: expected 0, found 1"},
        Lie{"Reserved", [](Forgery& f) { f.header().reserved = 1u << 31; },
            "reserved field: expected 0"},
        Lie{"DirectoryMisaligned",
            [](Forgery& f) { f.header().directory_offset += 8, f.SealHeader(); },
            "directory offset: expected a multiple of 64", false},
        Lie{"DirectoryPastEnd",
            [](Forgery& f) { f.header().directory_offset = ~uint64_t{63}, f.SealHeader(); },
            "directory offset: expected", false},
        Lie{"DirectoryInHeader",
            [](Forgery& f) { f.header().directory_offset = 0, f.SealHeader(); },
            "directory offset: expected", false},
        Lie{"DirectoryBytes", [](Forgery& f) { f.header().directory_bytes -= 8; },
            "directory size: expected"},
        Lie{"DirectoryChecksum",
            [](Forgery& f) { f.header().directory_checksum ^= 1, f.SealHeader(); },
            "directory: checksum: expected", false},
        Lie{"CountHuge", [](Forgery& f) { f.header().section_count = 0xffffffffu; },
            "section count: expected at most"},
        Lie{"CountOneLess", [](Forgery& f) { f.header().section_count -= 1; },
            "directory: expected the end"},
        Lie{"CountOneMore", [](Forgery& f) { f.header().section_count += 1; },
            "directory: expected 128 bytes"},
        Lie{"CountZero", [](Forgery& f) { f.header().section_count = 0; },
            "directory: expected the end"}),
    [](const auto& test) { return test.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Directory, LittleBitLieTest,
    ::testing::Values(
        Lie{"KindZero", [](Forgery& f) { f.entry(kQ).kind = 0; }, "kind: expected 1 to 5, found 0"},
        Lie{"KindUnknown", [](Forgery& f) { f.entry(kQ).kind = 6; },
            "kind: expected 1 to 5, found 6"},
        Lie{"NameEmpty", [](Forgery& f) { f.entry("metadata").name_bytes = 0; },
            "directory: expected"},
        Lie{"NameHuge", [](Forgery& f) { f.entry("metadata").name_bytes = 0xffffffffu; },
            "expected a name of at most 1024 bytes"},
        Lie{"NamePastDirectory", [](Forgery& f) { f.entry("metadata").name_bytes = 1000; },
            "directory: expected 1000 bytes"},
        Lie{"NameWithControl", [](Forgery& f) { f.name_of(kQ)[3] = '\x1b'; },
            "without control characters"},
        Lie{"NamePadding", [](Forgery& f) { f.name_of(kQ)[39] = 'x'; }, "padded with zeros"},
        Lie{"NameTwice",
            [](Forgery& f) {
              std::memcpy(f.name_of("model.layers.0.self_attn.k_proj.weight") + 25, "q", 1);
            },
            "expected one section, found two"},
        Lie{"FileWithPath",
            [](Forgery& f) { std::memcpy(f.name_of("config.json"), "../fig.json", 11); },
            "expected a plain file name"},
        Lie{"HiddenFile", [](Forgery& f) { f.name_of("config.json")[0] = '.'; },
            "expected a plain file name"},
        Lie{"MetadataRenamed", [](Forgery& f) { f.name_of("metadata")[0] = 'M'; },
            "expected the name \"metadata\""},
        Lie{"MetadataAsFile", [](Forgery& f) { f.entry("metadata").kind = 1; },
            "expected the name \"metadata\""},
        Lie{"OffsetMisaligned", [](Forgery& f) { f.entry(kQ).offset += 1; }, "(misaligned)"},
        Lie{"OffsetOverlap", [](Forgery& f) { f.entry(kQ).offset -= 64; }, "(overlap)"},
        Lie{"OffsetHole", [](Forgery& f) { f.entry(kQ).offset += 64; }, "(hole)"},
        Lie{"OffsetHuge", [](Forgery& f) { f.entry(kQ).offset = ~uint64_t{63}; }, "(hole)"},
        Lie{"FileHuge", [](Forgery& f) { f.entry("config.json").data_bytes = uint64_t{1} << 60; },
            "sections: expected 1152921504606846976 bytes"},
        Lie{"FileOverflow", [](Forgery& f) { f.entry("config.json").data_bytes = ~uint64_t{0}; },
            "sections: expected 18446744073709551615 bytes"},
        Lie{"FileShorter", [](Forgery& f) { f.entry("config.json").data_bytes -= 1; },
            "config.json: expected zeros after the data"},
        Lie{"PaddingNotZero", [](Forgery& f) { f.data_of(kNorm)[63] = 1; },
            "expected zeros after the data"},
        Lie{"MetadataShorter", [](Forgery& f) { f.entry("metadata").data_bytes = 960; },
            "bytes of metadata: expected 1024, found 960"}),
    [](const auto& test) { return test.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Tensors, LittleBitLieTest,
    ::testing::Values(
        Lie{"DtypeUnknown", [](Forgery& f) { f.entry(kNorm).dtype = 15; },
            "dtype: expected at most 14"},
        Lie{"DtypeUnused", [](Forgery& f) { f.entry(kQ).dtype = 1; }, "unused dtype"},
        Lie{"DtypeWider", [](Forgery& f) { f.entry(kNorm).dtype = 0; },
            "bytes of data: expected 16, found 8"},
        Lie{"DtypeInteger", [](Forgery& f) { f.entry(kNorm).dtype = 6; },
            "model.norm.weight: expected F32, F16, BF16 or F64, found I16"},
        Lie{"BitsUnused", [](Forgery& f) { f.entry(kNorm).bits = 8; }, "unused bits"},
        Lie{"BitsOther", [](Forgery& f) { f.entry(kEmbedding).bits = 5; },
            "shape that can be stored"},
        Lie{"BitsHuge", [](Forgery& f) { f.entry(kEmbedding).bits = 0x80000008u; },
            "shape that can be stored"},
        Lie{"BitsFour", [](Forgery& f) { f.entry(kEmbedding).bits = 4; },
            "bytes of data: expected 20, found 30"},
        Lie{"ScaleBitsOfHalves", [](Forgery& f) { f.entry(kQ).bits = 16; },
            "shape that can be stored"},
        Lie{"ScaleBitsFive", [](Forgery& f) { f.entry(kQ).bits = 5; }, "shape that can be stored"},
        Lie{"ScaleBitsHuge", [](Forgery& f) { f.entry(kQ).bits = 0x80000004u; },
            "shape that can be stored"},
        Lie{"ScaleBitsOther", [](Forgery& f) { f.entry(kQ).bits = 4; },  // as many bytes, padded
            "format version: expected 3 for what the file holds, found 1"},
        Lie{"PathsZero", [](Forgery& f) { f.entry(kQ).paths = 0; }, "shape that can be stored"},
        Lie{"PathsThree", [](Forgery& f) { f.entry(kQ).paths = 3; }, "shape that can be stored"},
        Lie{"PathsUnused", [](Forgery& f) { f.entry(kNorm).paths = 1; }, "unused paths"},
        Lie{"RankZero", [](Forgery& f) { f.entry(kQ).rank = 0; }, "shape that can be stored"},
        Lie{"RankLarger", [](Forgery& f) { f.entry(kQ).rank = 1000; }, "bytes of data: expected"},
        Lie{"RankHuge", [](Forgery& f) { f.entry(kQ).rank = uint64_t{1} << 40; },
            "shape that can be stored"},
        Lie{"RankOverflow", [](Forgery& f) { f.entry(kQ).rank = ~uint64_t{0}; },
            "expected numbers up to"},
        Lie{"RankUnused", [](Forgery& f) { f.entry(kEmbedding).rank = 1; }, "unused rank"},
        Lie{"ErrorNan",
            [](Forgery& f) {
              f.entry(kQ).relative_error = std::numeric_limits<double>::quiet_NaN();
            },
            "relative error: expected a finite number"},
        Lie{"ErrorNegative", [](Forgery& f) { f.entry(kQ).relative_error = -0.5; },
            "relative error: expected"},
        Lie{"ErrorUnused", [](Forgery& f) { f.entry(kNorm).relative_error = -0.0; },
            "unused relative error"},
        Lie{"DimensionsNine", [](Forgery& f) { f.entry(kNorm).dimensions = 9; },
            "dimensions: expected at most 8"},
        Lie{"DimensionsOne",
            [](Forgery& f) {
              f.entry(kQ).dimensions = 1;
              f.entry(kQ).shape[1] = 0;
            },
            "shape that can be stored"},
        Lie{"DimensionUnused", [](Forgery& f) { f.entry(kNorm).shape[7] = 1; }, "unused dimension"},
        Lie{"DimensionsOnFile", [](Forgery& f) { f.entry("config.json").dimensions = 1; },
            "unused dimensions"},
        Lie{"ShapeOverflow",
            [](Forgery& f) {
              f.entry(kNorm).dimensions = 3;
              f.entry(kNorm).shape = {uint64_t{1} << 32, uint64_t{1} << 32, 4};
            },
            "shape that can be stored"},
        Lie{"ShapeHuge", [](Forgery& f) { f.entry(kQ).shape[0] = ~uint64_t{0}; },
            "expected numbers up to"},
        Lie{"ShapeWide", [](Forgery& f) { f.entry(kQ).shape[0] = uint64_t{1} << 31; },
            "shape that can be stored"},
        Lie{"ShapeZero", [](Forgery& f) { f.entry(kEmbedding).shape[0] = 0; },
            "shape that can be stored"},
        Lie{"ShapeOther",
            [](Forgery& f) {
              f.entry(kNorm).dimensions = 2;
              f.entry(kNorm).shape = {2, 2};
            },
            "model.norm.weight: expected shape [4], found [2, 2]"},
        Lie{"TensorRenamed", [](Forgery& f) { f.name_of(kNorm)[0] = 'M'; },
            "model.norm.weight: expected a tensor of shape [4], found none"},
        Lie{"KindMisplaced",
            [](Forgery& f) {
              // As large as a grouped tensor would be: 4 rows of 4 codes and one scale.
              auto& e = f.entry(kQ);
              e.kind = 4;
              e.bits = 8;
              e.rank = e.paths = 0;
              e.relative_error = 0;
              e.data_bytes = 24;
              std::memset(f.data_of(kQ) + 24, 0, 40);
            },
            "q_proj.weight: expected another kind, found 4"}),
    [](const auto& test) { return test.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Contents, LittleBitLieTest,
    ::testing::Values(
        Lie{"MetadataNoJson", [](Forgery& f) { f.data_of("metadata")[0] = '['; },
            "metadata: expected JSON"},
        Lie{"MetadataMissing",
            [](Forgery& f) { ReplaceData(f, "metadata", "\"recipe\"", "\"recipd\""); },
            "\"recipe\": expected a value, found none"},
        Lie{"MetadataBits", [](Forgery& f) { ReplaceData(f, "metadata", "bits\":8", "bits\":5"); },
            "\"embedding_bits\": expected 16, 8 or 4, found 5"},
        Lie{"MetadataNegative",
            [](Forgery& f) {
              ReplaceData(f, "metadata", "parameters\":1234", "parameters\":-123");
            },
            "\"original_parameters\": expected a non-negative integer"},
        Lie{"ConfigNoJson", [](Forgery& f) { f.data_of("config.json")[0] = '}'; },
            "config.json: expected JSON"},
        Lie{"ConfigUnsupported",
            [](Forgery& f) {
              ReplaceData(f, "config.json", "LlamaForCausalLM", "GPT99ForCausalLM");
            },
            "config.json: \"architectures\": expected"},
        Lie{"ConfigOtherShape",
            [](Forgery& f) { ReplaceData(f, "config.json", "vocab_size\":5", "vocab_size\":6"); },
            "expected shape [6, 4], found [5, 4]"},
        Lie{"ConfigUntied",
            [](Forgery& f) {
              ReplaceData(f, "config.json", "embeddings\":true", "embeddings\":null");
            },
            "lm_head.weight: expected a tensor of shape [5, 4], found none"},
        Lie{"ConfigMoreLayers",
            [](Forgery& f) {
              ReplaceData(f, "config.json", "hidden_layers\":1", "hidden_layers\":3");
            },
            "model.layers.1.input_layernorm.weight: expected a tensor"},
        Lie{"ConfigRenamed", [](Forgery& f) { f.name_of("config.json")[0] = 'k'; },
            "config.json: expected this file inside, found none"}),
    [](const auto& test) { return test.param.name; });

TEST(LittleBitLiesTest, MissingFileAndDirectory) {
  const TemporaryDirectory directory;
  try {
    const LittleBitFile file(directory / "none");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kModelNotFound);
  }
  EXPECT_THROW(const LittleBitFile file(directory.path()), Error);
}

TEST(LittleBitLiesTest, EveryPrefixIsRefused) {
  const TemporaryDirectory directory;
  const auto path = directory / "prefix";
  WriteFileAtomically(path, ReadTextFile(GoldenPath("one-path")));
  for (uint64_t size = std::filesystem::file_size(path); size-- > 0;) {
    std::filesystem::resize_file(path, size);
    EXPECT_THROW(const LittleBitFile file(path), Error) << size;
  }
}

// Prefixes whose header was forged to fit them: the checks behind the file size hold by themselves.
TEST(LittleBitLiesTest, EverySealedPrefixIsRefused) {
  const TemporaryDirectory directory;
  const Forgery whole("one-path");
  for (uint64_t size = 64; size < whole.bytes.size(); size += 8) {
    Forgery file = whole;
    file.bytes.resize(size);
    file.header().file_bytes = size;
    file.header().directory_offset = std::min(file.header().directory_offset, size / 64 * 64);
    file.header().directory_bytes = size - file.header().directory_offset;
    file.Seal();
    file.Write(directory / "prefix");
    EXPECT_THROW(const LittleBitFile f(directory / "prefix"), Error) << size;
  }
}

// Checksums and "must be 0" together cover the file: no byte can change unnoticed.
TEST(LittleBitLiesTest, NoByteChangesUnnoticed) {
  const TemporaryDirectory directory;
  const auto path = directory / "changed";
  const std::string golden = ReadTextFile(GoldenPath("one-path"));
  std::ofstream(path, std::ios::binary) << golden;
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  const auto put = [&](size_t at, char byte) {
    file.seekp(static_cast<std::streamoff>(at)).put(byte).flush();
    ASSERT_TRUE(file.good());
  };
  for (size_t at = 0; at < golden.size(); ++at) {
    put(at, static_cast<char>(golden[at] ^ (1 << (at % 8))));
    EXPECT_THROW(LittleBitFile(path).Verify(), Error) << at;
    put(at, golden[at]);
  }
  EXPECT_NO_THROW(LittleBitFile(path).Verify());
}

// What opening a changed golden file says, or "" if it opens.
std::string Opening(const char* golden, const std::function<void(Forgery&)>& lie) {
  const TemporaryDirectory directory;
  Forgery file(golden);
  lie(file);
  file.SealSection("metadata");
  file.Seal();
  file.Write(directory / "x");
  try {
    LittleBitFile opened(directory / "x");
  } catch (const Error& error) {
    return error.message();
  }
  return "";
}

TEST(LittleBitVersionTest, ContentAndVersionMustAgree) {
  const auto message_has = [](const std::function<void(Forgery&)>& lie, const char* part) {
    const std::string message = Opening("six-bits", lie);
    EXPECT_NE(message.find(part), std::string::npos) << message;
  };
  EXPECT_EQ(Opening("six-bits", [](Forgery&) {}), "");
  message_has([](Forgery& f) { f.header().version = 1; },
              "\"embedding_bits\": expected 16, 8 or 4, found 6");
  const auto plain = [](Forgery& f) {  // metadata that version 1 could hold
    ReplaceData(f, "metadata", "embedding_bits\":6", "embedding_bits\":8");
    ReplaceData(f, "metadata", "scope\":\"file", "scope\":\"body");
  };
  EXPECT_EQ(Opening("six-bits", plain), "");  // the table still needs version 2
  message_has([&](Forgery& f) { plain(f), f.header().version = 1; },
              "format version: expected 2 for what the file holds, found 1");
  message_has(
      [&](Forgery& f) {
        plain(f);
        auto& entry = f.entry(kEmbedding);  // as many bytes of codes of 8 bits: too few rows
        entry.bits = 8;
      },
      "bytes of data: expected");
  message_has([](Forgery& f) { ReplaceData(f, "metadata", "head_bits\":8", "head_bits\":7"); },
              "\"head_bits\": expected 16, 8, 6 or 4, found 7");
  message_has([](Forgery& f) { ReplaceData(f, "metadata", "scope\":\"file", "scope\":\"tile"); },
              "\"budget_scope\": expected \"body\" or \"file\"");
}

TEST(LittleBitVersionTest, CodesOfScalesNeedVersionThree) {
  const auto opening_as = [](uint32_t version) {
    return Opening("scale-codes", [=](Forgery& f) { f.header().version = version; });
  };
  EXPECT_EQ(opening_as(3), "");
  EXPECT_NE(opening_as(2).find("format version: expected 3 for what the file holds, found 2"),
            std::string::npos)
      << opening_as(2);
}

}  // namespace
}  // namespace llmq
