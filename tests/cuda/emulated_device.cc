#include "tests/cuda/emulated_device.h"

#include <ucontext.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace llmq::emulated {

Index thread_index, block_index, grid_dim;
unsigned char* shared_memory = nullptr;

namespace {

constexpr size_t kStackBytes = size_t{64} << 10;
constexpr int kWarpLanes = 32;

// Threads that wait for each other.
struct Meeting {
  int size = 0;
  int arrived = 0;
  int line = 0;  // of those who wait
  uint64_t rounds = 0;
};

struct Warp {
  Meeting meeting;
  uint32_t bits[2][kWarpLanes];  // of two shuffles in a row: nobody is further ahead
  Fragments fragments[2][kWarpLanes];
};

struct Block {
  unsigned index = 0;
  std::unique_ptr<unsigned char[]> shared;
  Meeting meeting;
  std::vector<Warp> warps;
};

struct Fiber {
  ucontext_t context;
  Block* block = nullptr;
  unsigned thread = 0;
  bool done = false;
  const Meeting* waits_for = nullptr;  // to be over: nothing to do before
  uint64_t waits_round = 0;

  bool waiting() const { return waits_for != nullptr && waits_for->rounds == waits_round; }
};

// One launch. There is one at a time.
struct Run {
  ucontext_t scheduler;
  const std::function<void()>* thread = nullptr;
  std::vector<Block> blocks;
  std::vector<std::unique_ptr<Fiber>> fibers;
  Fiber* current = nullptr;
  uint64_t progress = 0;  // arrivals and ends
  std::string failure;
};
Run* run = nullptr;
std::vector<std::unique_ptr<unsigned char[]>> stacks;  // kept from launch to launch

[[noreturn]] void Stop(const std::string& why) {
  if (run->failure.empty()) run->failure = why;
  for (;;) Yield();  // the scheduler does not come back
}

void Meet(Meeting& meeting, int line) {
  if (meeting.arrived > 0 && meeting.line != line) {
    Stop("threads wait at different barriers: lines " + std::to_string(meeting.line) + " and " +
         std::to_string(line));
  }
  meeting.line = line;
  ++run->progress;
  const uint64_t round = meeting.rounds;
  if (++meeting.arrived == meeting.size) {
    meeting.arrived = 0;
    ++meeting.rounds;
    return;
  }
  run->current->waits_for = &meeting;
  run->current->waits_round = round;
  Yield();
  run->current->waits_for = nullptr;
}

void Enter() {
  (*run->thread)();
  run->current->done = true;
  ++run->progress;
  for (;;) Yield();
}

void Resume(Fiber& fiber) {
  run->current = &fiber;
  thread_index.x = fiber.thread;
  block_index.x = fiber.block->index;
  shared_memory = fiber.block->shared.get();
  swapcontext(&run->scheduler, &fiber.context);
}

Block MakeBlock(const LaunchShape& shape, int index) {
  Block block;
  block.index = static_cast<unsigned>(index);
  block.shared.reset(new unsigned char[static_cast<size_t>(shape.shared_bytes)]);
  std::memset(block.shared.get(), 0xff, static_cast<size_t>(shape.shared_bytes));
  block.meeting.size = shape.threads;
  block.warps.resize(static_cast<size_t>(shape.threads / kWarpLanes));
  for (Warp& warp : block.warps) warp.meeting.size = kWarpLanes;
  return block;
}

void BeginAt(void (*start)(), unsigned char* stack, ucontext_t& context) {
  getcontext(&context);
  context.uc_stack.ss_sp = stack;
  context.uc_stack.ss_size = kStackBytes;
  context.uc_link = nullptr;
  makecontext(&context, start, 0);
}

void MakeFibers(const LaunchShape& shape) {
  for (Block& block : run->blocks) {
    for (int thread = 0; thread < shape.threads; ++thread) {
      if (stacks.size() == run->fibers.size()) stacks.emplace_back(new unsigned char[kStackBytes]);
      auto fiber = std::make_unique<Fiber>();
      fiber->block = &block;
      fiber->thread = static_cast<unsigned>(thread);
      BeginAt(Enter, stacks[run->fibers.size()].get(), fiber->context);
      run->fibers.push_back(std::move(fiber));
    }
  }
  if (shape.downwards) std::reverse(run->fibers.begin(), run->fibers.end());
}

// Turns until all have finished. A turn in which nobody arrives anywhere is one in which all wait
// for what will not come; two, because a thread may see what changed only at its next turn.
void Schedule() {
  int idle = 0;
  for (bool all_done = false; !all_done;) {
    const uint64_t before = run->progress;
    all_done = true;
    for (const auto& fiber : run->fibers) {
      if (fiber->done) continue;
      all_done = false;
      if (fiber->waiting()) continue;
      Resume(*fiber);
      if (!run->failure.empty()) throw std::logic_error(run->failure);
    }
    idle = run->progress == before ? idle + 1 : 0;
    if (!all_done && idle > 4)
      throw std::logic_error("threads wait at a barrier that others do not reach");
  }
}

void RunBlocks(const LaunchShape& shape, int first, int last, const std::function<void()>& thread) {
  Run here;
  here.thread = &thread;
  for (int index = first; index < last; ++index) here.blocks.push_back(MakeBlock(shape, index));
  run = &here;
  MakeFibers(shape);
  Schedule();
}

}  // namespace

void Yield() { swapcontext(&run->current->context, &run->scheduler); }

void SyncBlock(int line) { Meet(run->current->block->meeting, line); }

void SyncWarp(int line) {
  Fiber& fiber = *run->current;
  Meet(fiber.block->warps[fiber.thread / kWarpLanes].meeting, line);
}

uint32_t ShuffleXor(uint32_t bits, int mask, int line) {
  Fiber& fiber = *run->current;
  Warp& warp = fiber.block->warps[fiber.thread / kWarpLanes];
  const unsigned lane = fiber.thread % kWarpLanes;
  uint32_t(&slots)[kWarpLanes] = warp.bits[warp.meeting.rounds % 2];
  slots[lane] = bits;
  Meet(warp.meeting, line);
  return slots[lane ^ static_cast<unsigned>(mask)];
}

const Fragments* Exchange(const Fragments& own, int line) {
  Fiber& fiber = *run->current;
  Warp& warp = fiber.block->warps[fiber.thread / kWarpLanes];
  Fragments* slots = warp.fragments[warp.meeting.rounds % 2];
  slots[fiber.thread % kWarpLanes] = own;
  Meet(warp.meeting, line);
  return slots;
}

void Launch(const LaunchShape& shape, const std::function<void()>& thread) {
  grid_dim.x = static_cast<unsigned>(shape.blocks);
  if (shape.cooperative) return RunBlocks(shape, 0, shape.blocks, thread);
  for (int index = 0; index < shape.blocks; ++index) RunBlocks(shape, index, index + 1, thread);
}

}  // namespace llmq::emulated
