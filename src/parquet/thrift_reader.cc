#include "parquet/thrift_reader.h"

#include <fmt/format.h>

#include <utility>

#include "llmq/error.h"

namespace llmq {
namespace {

constexpr int kMaxDepth = 32;

// Counts how deep structs and lists are nested while one is read.
class Nested {
 public:
  explicit Nested(int& depth) : depth_(depth) { ++depth_; }
  ~Nested() { --depth_; }
  Nested(const Nested&) = delete;
  Nested& operator=(const Nested&) = delete;

 private:
  int& depth_;
};

}  // namespace

ThriftReader::ThriftReader(std::span<const std::byte> bytes, const std::string& where)
    : reader_(bytes, where), where_(where) {}

void ThriftReader::Expect(bool right, const char* expected) const {
  if (right) return;
  throw Error(ErrorCode::kGeneral,
              fmt::format("{}: expected {} before offset {}, found something else", where_,
                          expected, reader_.offset()));
}

uint64_t ThriftReader::ReadVarint() {
  uint64_t value = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    const auto byte = reader_.Read<uint8_t>();
    value |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) return value;
  }
  Expect(false, "a number of at most 64 bits");
  return 0;
}

int64_t ThriftReader::ReadZigzag() {
  const uint64_t value = ReadVarint();
  return static_cast<int64_t>(value >> 1) ^ -static_cast<int64_t>(value & 1);
}

void ThriftReader::ReadStruct(const std::function<void(ThriftField)>& visit) {
  const Nested nested(depth_);
  Expect(depth_ <= kMaxDepth, "at most 32 levels of nesting");
  int64_t id = 0;
  for (;;) {
    const auto header = reader_.Read<uint8_t>();
    const auto type = static_cast<ThriftType>(header & 0x0f);
    if (type == ThriftType::kStop) return;
    // The difference to the last field's number, or 0 and then the number itself.
    id = header >> 4 != 0 ? id + (header >> 4) : ReadZigzag();
    Expect(id > 0 && id <= INT16_MAX, "a field's number");
    visit({static_cast<int>(id), type});
  }
}

void ThriftReader::ReadStruct(ThriftField field, const std::function<void(ThriftField)>& visit) {
  Expect(field.type == ThriftType::kStruct, "a struct");
  ReadStruct(visit);
}

std::pair<uint64_t, ThriftType> ThriftReader::ReadListHeader() {
  const auto header = reader_.Read<uint8_t>();
  const uint64_t count = header >> 4 == 15 ? ReadVarint() : header >> 4;
  Expect(count <= reader_.remaining(), "a list that ends inside the file");  // an element is a byte
  return {count, static_cast<ThriftType>(header & 0x0f)};
}

void ThriftReader::ReadList(ThriftField field, ThriftType element,
                            const std::function<void()>& each) {
  Expect(field.type == ThriftType::kList, "a list");
  const auto [count, type] = ReadListHeader();
  Expect(type == element || count == 0, "a list of the format's type");
  for (uint64_t i = 0; i < count; ++i) each();
}

int64_t ThriftReader::ReadInt(ThriftField field) {
  Expect(field.type == ThriftType::kInt16 || field.type == ThriftType::kInt32 ||
             field.type == ThriftType::kInt64,
         "a whole number");
  return ReadZigzag();
}

bool ThriftReader::ReadBool(ThriftField field) {
  Expect(field.type == ThriftType::kTrue || field.type == ThriftType::kFalse, "true or false");
  return field.type == ThriftType::kTrue;
}

std::string_view ThriftReader::ReadBinary(ThriftField field) {
  Expect(field.type == ThriftType::kBinary, "a text");
  return AsText(reader_.Take(ReadVarint()));
}

void ThriftReader::Skip(ThriftField field) {
  if (field.type == ThriftType::kTrue || field.type == ThriftType::kFalse) return;
  SkipValue(field.type);
}

void ThriftReader::SkipValue(ThriftType type) {
  switch (type) {
    case ThriftType::kTrue:
    case ThriftType::kFalse:
    case ThriftType::kByte: reader_.Take(1); return;
    case ThriftType::kInt16:
    case ThriftType::kInt32:
    case ThriftType::kInt64: ReadVarint(); return;
    case ThriftType::kDouble: reader_.Take(8); return;
    case ThriftType::kBinary: reader_.Take(ReadVarint()); return;
    case ThriftType::kStruct: ReadStruct([this](ThriftField field) { Skip(field); }); return;
    case ThriftType::kMap: SkipMap(); return;
    case ThriftType::kList:
    case ThriftType::kSet: {
      const Nested nested(depth_);
      Expect(depth_ <= kMaxDepth, "at most 32 levels of nesting");
      const auto [count, element] = ReadListHeader();
      for (uint64_t i = 0; i < count; ++i) SkipValue(element);
      return;
    }
    case ThriftType::kStop: break;
  }
  Expect(false, "a type of Thrift");
}

void ThriftReader::SkipMap() {
  const Nested nested(depth_);
  Expect(depth_ <= kMaxDepth, "at most 32 levels of nesting");
  const uint64_t count = ReadVarint();
  Expect(count <= reader_.remaining(), "a map that ends inside the file");
  if (count == 0) return;
  const auto types = reader_.Read<uint8_t>();
  for (uint64_t i = 0; i < count; ++i) {
    SkipValue(static_cast<ThriftType>(types >> 4));
    SkipValue(static_cast<ThriftType>(types & 0x0f));
  }
}

}  // namespace llmq
