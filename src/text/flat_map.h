// A hash table from 64-bit keys that are not all ones: merges and tries, which are looked up for
// every character of every text.
#ifndef LLMQ_TEXT_FLAT_MAP_H_
#define LLMQ_TEXT_FLAT_MAP_H_

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace llmq {

template <typename Value>
class FlatMap {
 public:
  const Value* Find(uint64_t key) const {
    if (slots_.empty()) return nullptr;
    const Slot& slot = slots_[SlotOf(key)];
    return slot.key == key ? &slot.value : nullptr;
  }

  // The value of `key`, which is `value` if the key is new.
  Value& Insert(uint64_t key, Value value) {
    if (2 * (size_ + 1) > slots_.size()) Grow();
    Slot& slot = slots_[SlotOf(key)];
    if (slot.key != key) {
      slot = {key, std::move(value)};
      ++size_;
    }
    return slot.value;
  }

  size_t size() const { return size_; }

 private:
  static constexpr uint64_t kFree = ~uint64_t{0};
  struct Slot {
    uint64_t key = kFree;
    Value value{};
  };

  // Where `key` is, or the free slot where it belongs.
  size_t SlotOf(uint64_t key) const {
    const uint64_t mixed = key * 0x9E3779B97F4A7C15u;  // Fibonacci hashing: the high bits are good
    size_t at = (mixed ^ mixed >> 32) & (slots_.size() - 1);
    while (slots_[at].key != key && slots_[at].key != kFree) at = (at + 1) & (slots_.size() - 1);
    return at;
  }

  void Grow() {
    std::vector<Slot> old(slots_.empty() ? 16 : 2 * slots_.size());
    std::swap(old, slots_);
    for (Slot& slot : old) {
      if (slot.key != kFree) slots_[SlotOf(slot.key)] = std::move(slot);
    }
  }

  std::vector<Slot> slots_;  // [a power of two], at most half of them taken
  size_t size_ = 0;
};

}  // namespace llmq

#endif  // LLMQ_TEXT_FLAT_MAP_H_
