#include "compress/worker_pool.h"

#include <fmt/core.h>

#include <chrono>
#include <system_error>

#include "compress/torch_headers.h"
#include "llmq/error.h"

namespace llmq {
namespace {

constexpr std::chrono::milliseconds kStopPollInterval(100);

}  // namespace

WorkerPool::WorkerPool(int threads) {
  // LibTorch's setting is per thread and touches shared state: here first, then by each worker in
  // turn.
  at::set_num_threads(1);
  try {
    for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { WorkerLoop(); });
  } catch (const std::system_error& error) {  // a limit of the system: fewer do the work as well
    if (!threads_.empty()) return;
    throw Error(ErrorCode::kGeneral,
                fmt::format("threads: expected at least one, found {}", error.what()),
                "Raise the limit on processes and threads");
  }
}

WorkerPool::~WorkerPool() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  work_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

bool WorkerPool::Run(int64_t count, const std::function<void(int64_t)>& task,
                     const Watcher& watcher) {
  std::unique_lock lock(mutex_);
  task_ = &task;
  next_ = 0;
  limit_ = count;
  failure_ = nullptr;
  work_.notify_all();
  while (next_ < limit_ || running_ > 0 || !finished_.empty()) {
    if (finished_.empty()) ended_.wait_for(lock, kStopPollInterval);
    if (!finished_.empty()) ShowOne(lock, watcher);
    if (watcher.keep_going && !watcher.keep_going()) limit_ = next_;
  }
  task_ = nullptr;
  if (failure_) std::rethrow_exception(failure_);
  return limit_ == count;
}

void WorkerPool::ShowOne(std::unique_lock<std::mutex>& lock, const Watcher& watcher) {
  const int64_t index = finished_.front();
  finished_.pop_front();
  work_.notify_one();
  if (!watcher.done) return;
  lock.unlock();
  try {
    watcher.done(index);
    lock.lock();
  } catch (...) {
    lock.lock();
    limit_ = next_;
    ended_.wait(lock, [this] { return running_ == 0; });  // tasks borrow from our caller
    finished_.clear();
    throw;
  }
}

void WorkerPool::WorkerLoop() {
  std::unique_lock lock(mutex_);
  at::set_num_threads(1);
  while (true) {
    // Workers do not run ahead of the watcher: a stop takes effect soon, and no results pile up.
    work_.wait(lock, [this] {
      return stopping_ || (next_ < limit_ && finished_.size() < threads_.size());
    });
    if (stopping_) return;
    const int64_t index = next_++;
    ++running_;
    lock.unlock();
    RunTask(index);
    lock.lock();
    --running_;
    ended_.notify_one();
  }
}

void WorkerPool::RunTask(int64_t index) {
  std::exception_ptr failure;
  try {
    (*task_)(index);
  } catch (...) {
    failure = std::current_exception();
  }
  const std::lock_guard lock(mutex_);
  if (!failure) {
    finished_.push_back(index);
    return;
  }
  if (!failure_ || index < failed_index_) {
    failure_ = failure;
    failed_index_ = index;
  }
  limit_ = next_;  // the run has failed: begin nothing more
}

}  // namespace llmq
