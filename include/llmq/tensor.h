// A named block of numbers in somebody else's memory, as the readers hand it out.
#ifndef LLMQ_TENSOR_H_
#define LLMQ_TENSOR_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace llmq {

// Element types of safetensors files. The values are stored in .littlebit files: do not renumber.
enum class DType : uint8_t {
  kF32 = 0,
  kF16 = 1,
  kBF16 = 2,
  kF64 = 3,
  kI8 = 4,
  kU8 = 5,
  kI16 = 6,
  kU16 = 7,
  kI32 = 8,
  kU32 = 9,
  kI64 = 10,
  kU64 = 11,
  kBool = 12,
  kF8E4M3 = 13,
  kF8E5M2 = 14,
};

size_t DTypeBytes(DType dtype);
const char* DTypeName(DType dtype);  // the safetensors name, "BF16" for example
std::optional<DType> DTypeFromName(std::string_view safetensors_name);
bool IsFloat(DType dtype);  // F32, F16, BF16 or F64: values without anything else

// The scales of an FP8 matrix [rows, cols], f32: one per block of so many rows and columns, row by
// row of blocks. A value is its code's times the scale of its block.
struct BlockScales {
  int64_t block_rows = 0;
  int64_t block_cols = 0;
  int64_t blocks_per_row = 0;
  std::vector<float> values;
};

// Borrows `data` and is valid as long as the reader that made it.
struct TensorView {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;  // row-major, outermost first, as in PyTorch
  std::span<const std::byte>
      data;  // product(shape) * DTypeBytes(dtype) bytes, little endian, unaligned

  std::shared_ptr<const BlockScales> scales = nullptr;  // of FP8; nullptr: there are none
  // Of a matrix that lies column by column: elements from one column to the next, of which `data`
  // may hold more than the rows (the matrix is a part of a larger one). 0: it lies row by row.
  int64_t column_stride = 0;

  int64_t num_elements() const;
  std::string ShapeText() const;  // "[4096, 11008]"
};

// Of a matrix that lies column by column: its elements row by row.
std::vector<std::byte> RowMajorBytes(const TensorView& tensor);

bool IsFp8(DType dtype);
// F32, F16, BF16, F64, or FP8 with its scales.
bool HasFloatValues(const TensorView& tensor);

// out [num_elements()] f32. Precondition: HasFloatValues(tensor) and the sizes agree.
void ConvertToFloat(const TensorView& tensor, std::span<float> out);
std::vector<float> ToFloat(const TensorView& tensor);

struct NonFiniteCount {
  int64_t nan = 0;
  int64_t inf = 0;
};
// Counts without converting the whole tensor; of FP8 the codes. Integers have none.
NonFiniteCount CountNonFinite(const TensorView& tensor);

}  // namespace llmq

#endif  // LLMQ_TENSOR_H_
