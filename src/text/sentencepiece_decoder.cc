#include "text/sentencepiece_decoder.h"

#include <string>
#include <string_view>

#include "text/utf8.h"
#include "text/vocabulary.h"

namespace llmq {
namespace {

class SentencePieceDecoder : public TokenDecoder {
 public:
  SentencePieceDecoder(const SentencePieceModel& model, bool skip_special)
      : model_(model), skip_special_(skip_special) {}

  std::string Push(int32_t id) override {
    if (id < 0 || static_cast<size_t>(id) >= model_.pieces.size()) return "";
    const SentencePiece& piece = model_.pieces[static_cast<size_t>(id)];
    std::string out;
    if (piece.type == PieceType::kByte) {
      bytes_.push_back(static_cast<char>(*ParseByteToken(piece.text)));
      out = TakeCharacters(/*at_end=*/false);
    } else {
      out = TakeCharacters(/*at_end=*/true);
      anything_ = anything_ || !out.empty();
      out += Surface(piece);
    }
    anything_ = anything_ || !out.empty();
    return out;
  }

  std::string Flush() override { return TakeCharacters(/*at_end=*/true); }

 private:
  // The first piece loses the space that encoding put before the text.
  std::string Surface(const SentencePiece& piece) {
    if (piece.type == PieceType::kControl) return skip_special_ ? "" : piece.text;
    if (piece.type == PieceType::kUnknown) return model_.unk_surface;
    std::string_view text = piece.text;
    const bool at_begin = !anything_ && !space_taken_;
    if (at_begin && (model_.add_dummy_prefix || model_.remove_extra_whitespaces)) {
      const bool space = text.starts_with(kVisibleSpace);
      if (space) text.remove_prefix(kVisibleSpace.size());
      // Where extra spaces are removed, all at the begin go.
      space_taken_ = space && !model_.remove_extra_whitespaces;
    }
    return PlainSpaces(text);
  }

  // Characters of the bytes so far; what is no character becomes U+FFFD byte by byte.
  std::string TakeCharacters(bool at_end) {
    std::string out;
    size_t done = 0;
    while (done < bytes_.size()) {
      const Utf8Unit unit = ReadUtf8(bytes_, done);
      if (unit.status == Utf8Status::kIncomplete && !at_end) break;
      const bool valid = unit.status == Utf8Status::kValid;
      out += valid ? std::string_view(bytes_).substr(done, unit.length) : kReplacementCharacter;
      done += valid ? unit.length : 1;
    }
    bytes_.erase(0, done);
    return out;
  }

  const SentencePieceModel& model_;
  const bool skip_special_;
  std::string bytes_;         // of byte pieces, not yet characters
  bool anything_ = false;     // some text has come out
  bool space_taken_ = false;  // the space before the text has been taken off
};

}  // namespace

std::unique_ptr<TokenDecoder> NewSentencePieceDecoder(const SentencePieceModel& model,
                                                      bool skip_special) {
  return std::make_unique<SentencePieceDecoder>(model, skip_special);
}

}  // namespace llmq
