// Random numbers that are the same on every machine: splitmix64 (Steele, Lea, Flood 2014).
#ifndef LLMQ_BASE_RANDOM_H_
#define LLMQ_BASE_RANDOM_H_

#include <cstdint>

namespace llmq {

// The next 64 bits; advances the state, which any value may start.
inline uint64_t NextRandom(uint64_t& state) {
  state += 0x9e3779b97f4a7c15u;
  uint64_t mixed = state;
  mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
  mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
  return mixed ^ (mixed >> 31);
}

}  // namespace llmq

#endif  // LLMQ_BASE_RANDOM_H_
