// Thrift's compact protocol, in which Parquet writes its metadata: structs of numbered fields.
//
// Before: bytes of a file's footer or of a page's header. After: parquet_metadata.h.
#ifndef LLMQ_PARQUET_THRIFT_READER_H_
#define LLMQ_PARQUET_THRIFT_READER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace llmq {

// As on disk: do not renumber.
enum class ThriftType : uint8_t {
  kStop = 0,
  kTrue = 1,
  kFalse = 2,
  kByte = 3,
  kInt16 = 4,
  kInt32 = 5,
  kInt64 = 6,
  kDouble = 7,
  kBinary = 8,
  kList = 9,
  kSet = 10,
  kMap = 11,
  kStruct = 12,
};

struct ThriftField {
  int id = 0;
  ThriftType type = ThriftType::kStop;
};

// Every read throws Error{kGeneral} where the bytes end or hold another type than is asked for.
class ThriftReader {
 public:
  ThriftReader(std::span<const std::byte> bytes, const std::string& where);

  // Calls `visit` for each field of a struct; it reads the field's value or skips it.
  void ReadStruct(const std::function<void(ThriftField)>& visit);
  // Calls `each` for each element; it reads one struct, number or text.
  void ReadList(ThriftField field, ThriftType element, const std::function<void()>& each);
  int64_t ReadInt(ThriftField field);  // of 16, 32 or 64 bits
  bool ReadBool(ThriftField field);
  std::string_view ReadBinary(ThriftField field);  // borrowed
  // A struct as a field's value.
  void ReadStruct(ThriftField field, const std::function<void(ThriftField)>& visit);
  void Skip(ThriftField field);

  uint64_t offset() const { return reader_.offset(); }

 private:
  uint64_t ReadVarint();
  int64_t ReadZigzag();
  std::pair<uint64_t, ThriftType> ReadListHeader();
  void SkipValue(ThriftType type);
  void SkipMap();
  void Expect(bool right, const char* expected) const;

  ByteReader reader_;
  std::string where_;
  int depth_ = 0;
};

}  // namespace llmq

#endif  // LLMQ_PARQUET_THRIFT_READER_H_
