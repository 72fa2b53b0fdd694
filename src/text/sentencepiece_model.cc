#include "text/sentencepiece_model.h"

#include <fmt/format.h>

#include <bit>
#include <cmath>
#include <functional>

#include "base/bytes.h"
#include "llmq/error.h"
#include "text/utf8.h"

namespace llmq {
namespace {

// One field of a protobuf message.
struct Field {
  uint64_t number;
  uint64_t wire_type;
  uint64_t varint = 0;     // wire type 0
  std::string_view bytes;  // wire types 1 (8 bytes), 2 (any) and 5 (4 bytes)
};

constexpr uint64_t kVarint = 0, kFixed64 = 1, kLengthDelimited = 2, kFixed32 = 5;

uint64_t ReadVarint(ByteReader& reader, const std::string& where) {
  uint64_t value = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    const auto byte = reader.Read<uint8_t>();
    value |= static_cast<uint64_t>(byte & 0x7F) << shift;
    if (byte < 0x80) return value;
  }
  throw Error(ErrorCode::kGeneral, where + ": expected a number of at most 10 bytes, found more",
              "The file is damaged or not a SentencePiece model");
}

void ForEachField(std::string_view message, const std::string& where,
                  const std::function<void(const Field&)>& visit) {
  ByteReader reader(AsBytes(message), where);
  while (reader.remaining() > 0) {
    const uint64_t key = ReadVarint(reader, where);
    Field field{key >> 3, key & 7};
    switch (field.wire_type) {
      case kVarint: field.varint = ReadVarint(reader, where); break;
      case kFixed64: field.bytes = AsText(reader.Take(8)); break;
      case kLengthDelimited: field.bytes = AsText(reader.Take(ReadVarint(reader, where))); break;
      case kFixed32: field.bytes = AsText(reader.Take(4)); break;
      default:
        throw Error(ErrorCode::kGeneral,
                    fmt::format("{}: expected a protobuf field, found wire type {} at byte {}",
                                where, field.wire_type, reader.offset()),
                    "The file is damaged or not a SentencePiece model");
    }
    visit(field);
  }
}

void Expect(const Field& field, uint64_t wire_type, const std::string& where) {
  if (field.wire_type == wire_type) return;
  throw Error(ErrorCode::kGeneral, fmt::format("{}: field {}: expected wire type {}, found {}",
                                               where, field.number, wire_type, field.wire_type));
}

std::string Text(const Field& field, const std::string& where) {
  Expect(field, kLengthDelimited, where);
  if (!IsValidUtf8(field.bytes)) {
    throw Error(ErrorCode::kGeneral, fmt::format("{}: field {}: expected UTF-8, found other bytes",
                                                 where, field.number));
  }
  return std::string(field.bytes);
}

uint64_t Number(const Field& field, const std::string& where) {
  Expect(field, kVarint, where);
  return field.varint;
}

SentencePiece ParsePiece(std::string_view message, size_t index, const std::string& file) {
  const std::string where = fmt::format("{}: piece {}", file, index);
  SentencePiece piece;
  ForEachField(message, where, [&](const Field& field) {
    if (field.number == 1) {
      piece.text = Text(field, where);
    } else if (field.number == 2) {
      Expect(field, kFixed32, where);
      piece.score = ByteReader(AsBytes(field.bytes), where).Read<float>();
    } else if (field.number == 3) {
      piece.type = static_cast<PieceType>(Number(field, where));
    }
  });
  if (piece.text.empty()) {
    throw Error(ErrorCode::kGeneral, where + ": expected a text, found none");
  }
  if (!std::isfinite(piece.score)) {
    throw Error(ErrorCode::kGeneral, where + ": expected a finite score, found another");
  }
  if (piece.type < PieceType::kNormal || piece.type > PieceType::kByte) {
    throw Error(ErrorCode::kGeneral, fmt::format("{}: expected a type from 1 to 6, found {}", where,
                                                 static_cast<uint64_t>(piece.type)));
  }
  return piece;
}

void ParseTrainerSpec(std::string_view message, const std::string& where,
                      SentencePieceModel& model) {
  ForEachField(message, where, [&](const Field& field) {
    switch (field.number) {
      case 3: model.model_type = Number(field, where); break;
      case 24: model.treat_whitespace_as_suffix = Number(field, where) != 0; break;
      case 35: model.byte_fallback = Number(field, where) != 0; break;
      case 44: model.unk_surface = Text(field, where); break;
      case 46: model.bos_piece = Text(field, where); break;
      case 47: model.eos_piece = Text(field, where); break;
      default: break;
    }
  });
}

void ParseNormalizerSpec(std::string_view message, const std::string& where,
                         SentencePieceModel& model) {
  ForEachField(message, where, [&](const Field& field) {
    switch (field.number) {
      case 2:
        Expect(field, kLengthDelimited, where);
        model.precompiled_charsmap = field.bytes;
        break;
      case 3: model.add_dummy_prefix = Number(field, where) != 0; break;
      case 4: model.remove_extra_whitespaces = Number(field, where) != 0; break;
      case 5: model.escape_whitespaces = Number(field, where) != 0; break;
      default: break;
    }
  });
}

void RefuseDenormalizer(std::string_view message, const std::string& where) {
  ForEachField(message, where, [&](const Field& field) {
    if (field.number == 2 && !field.bytes.empty()) {
      throw Error(ErrorCode::kGeneral, where + ": rules for denormalizing are not supported");
    }
  });
}

void AppendVarint(uint64_t value, std::string& out) {
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<char>(value | 0x80));
  out.push_back(static_cast<char>(value));
}

void AppendNumber(uint64_t field, uint64_t value, std::string& out) {
  AppendVarint(field << 3 | kVarint, out);
  AppendVarint(value, out);
}

void AppendBytes(uint64_t field, std::string_view bytes, std::string& out) {
  AppendVarint(field << 3 | kLengthDelimited, out);
  AppendVarint(bytes.size(), out);
  out += bytes;
}

void AppendFloat(uint64_t field, float value, std::string& out) {
  AppendVarint(field << 3 | kFixed32, out);
  const auto bits = std::bit_cast<uint32_t>(value);
  for (int shift = 0; shift < 32; shift += 8) out.push_back(static_cast<char>(bits >> shift));
}

}  // namespace

std::string SentencePieceModel::Serialize() const {
  std::string file;
  for (const SentencePiece& piece : pieces) {
    std::string message;
    AppendBytes(1, piece.text, message);
    AppendFloat(2, piece.score, message);
    AppendNumber(3, static_cast<uint64_t>(piece.type), message);
    AppendBytes(1, message, file);
  }
  std::string trainer;
  AppendNumber(3, model_type, trainer);
  AppendNumber(24, treat_whitespace_as_suffix ? 1 : 0, trainer);
  AppendNumber(35, byte_fallback ? 1 : 0, trainer);
  AppendBytes(44, unk_surface, trainer);
  AppendBytes(46, bos_piece, trainer);
  AppendBytes(47, eos_piece, trainer);
  AppendBytes(2, trainer, file);
  std::string normalizer;
  AppendBytes(2, precompiled_charsmap, normalizer);
  AppendNumber(3, add_dummy_prefix ? 1 : 0, normalizer);
  AppendNumber(4, remove_extra_whitespaces ? 1 : 0, normalizer);
  AppendNumber(5, escape_whitespaces ? 1 : 0, normalizer);
  AppendBytes(3, normalizer, file);
  return file;
}

SentencePieceModel SentencePieceModel::Parse(std::string_view bytes, const std::string& where) {
  SentencePieceModel model;
  ForEachField(bytes, where, [&](const Field& field) {
    if (field.number == 1) {
      Expect(field, kLengthDelimited, where);
      model.pieces.push_back(ParsePiece(field.bytes, model.pieces.size(), where));
    } else if (field.number == 2) {
      Expect(field, kLengthDelimited, where);
      ParseTrainerSpec(field.bytes, where + ": trainer_spec", model);
    } else if (field.number == 3) {
      Expect(field, kLengthDelimited, where);
      ParseNormalizerSpec(field.bytes, where + ": normalizer_spec", model);
    } else if (field.number == 5) {
      Expect(field, kLengthDelimited, where);
      RefuseDenormalizer(field.bytes, where + ": denormalizer_spec");
    }
  });
  if (model.pieces.empty()) {
    throw Error(ErrorCode::kGeneral, where + ": expected pieces, found none",
                "The file is damaged or not a SentencePiece model");
  }
  if (model.model_type != kUnigramModelType && model.model_type != kBpeModelType) {
    throw Error(ErrorCode::kGeneral,
                fmt::format("{}: expected a model of type unigram (1) or BPE (2), found {}", where,
                            model.model_type),
                "This tokenizer cannot be used");
  }
  return model;
}

}  // namespace llmq
