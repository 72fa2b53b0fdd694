// Streams an object of objects through nlohmann's parser callback; see the header.
#include "formats/json_rows.h"

#include <fmt/format.h>

#include <unordered_set>

#include "llmq/error.h"

namespace llmq {
namespace {

constexpr int kMaxDepth = 16;
constexpr const char* kSuggestion = "The file is damaged or was written by another program";

class RowStream {
 public:
  RowStream(const std::string& where,
            const std::function<void(const std::string&, const JsonRow&)>& visit)
      : where_(where), visit_(visit) {}

  // False: the finished row need not be kept.
  bool OnEvent(int depth, JsonRow::parse_event_t event, JsonRow& parsed) {
    using Event = JsonRow::parse_event_t;
    if (depth > kMaxDepth)
      Fail(fmt::format("expected at most {} nested levels, found more", kMaxDepth));
    if (event == Event::key) OnKey(depth, parsed.get_ref<const std::string&>());
    const bool begins = event == Event::value || event == Event::array_start;
    if (begins && depth == 0) Fail("expected a JSON object, found another value");
    if (begins && depth == 1)
      Fail(fmt::format("\"{}\": expected an object, found another value", row_));
    if (event == Event::object_end && depth == 1) {
      visit_(row_, parsed);
      return false;
    }
    return true;
  }

 private:
  void OnKey(int depth, const std::string& key) {
    if (depth == 1) {
      row_ = key;
      keys_.clear();
      if (!rows_.insert(key).second)
        Fail(fmt::format("\"{}\": expected one entry, found two", key));
    }
    if (depth == 2 && !keys_.insert(key).second) {
      Fail(fmt::format("\"{}\": \"{}\": expected one value, found two", row_, key));
    }
  }

  [[noreturn]] void Fail(const std::string& what) const {
    throw Error(ErrorCode::kGeneral, fmt::format("{}: {}", where_, what), kSuggestion);
  }

  const std::string& where_;
  const std::function<void(const std::string&, const JsonRow&)>& visit_;
  std::string row_;
  std::unordered_set<std::string> rows_;
  std::unordered_set<std::string> keys_;  // of the current row
};

}  // namespace

void ForEachJsonRow(std::string_view text, const std::string& where,
                    const std::function<void(const std::string& name, const JsonRow& row)>& visit) {
  RowStream stream(where, visit);
  try {
    [[maybe_unused]] const JsonRow emptied = JsonRow::parse(
        text.begin(), text.end(), [&](int depth, JsonRow::parse_event_t event, JsonRow& parsed) {
          return stream.OnEvent(depth, event, parsed);
        });
  } catch (const JsonRow::exception& e) {
    throw Error(ErrorCode::kGeneral, fmt::format("{}: expected JSON, found: {}", where, e.what()),
                kSuggestion);
  }
}

}  // namespace llmq
