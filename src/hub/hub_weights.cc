// Weights that come while they are used.
//
// Before: HubModel knows which files are missing, and their headers. After: formats/checkpoint
// waits here for the file of each tensor that somebody asks for. A file has arrived when
// blob_download.cc has verified it.
#include <fmt/format.h>

#include <utility>

#include "llmq/hub.h"

namespace llmq {

namespace {

constexpr auto kTick = std::chrono::milliseconds(100);

double SecondsSince(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

}  // namespace

HubWeights::HubWeights(HubModel& model, std::vector<ArrivingFile> files, HubObserver& observer)
    : model_(model), files_(std::move(files)), observer_(observer) {}

HubWeights::~HubWeights() {
  if (!thread_.joinable()) return;
  model_.Stop();
  thread_.join();
}

void HubWeights::Start(const std::vector<std::string>& order, std::function<void()> while_waiting) {
  (void)model_.ExpectRoom();
  while_waiting_ = std::move(while_waiting);
  starter_ = std::this_thread::get_id();
  thread_ = std::thread([this, order] { Run(order); });
}

void HubWeights::Run(const std::vector<std::string>& order) {
  std::optional<Error> failure;
  try {
    model_.FetchWeights(order, [this](const std::string& name) {
      const std::lock_guard lock(mutex_);
      arrived_.insert(name);
      changed_.notify_all();
    });
    return;
  } catch (const Error& error) {
    failure = error;
  } catch (const std::exception& error) {
    failure = Error(ErrorCode::kGeneral, error.what());
  }
  std::unique_lock lock(mutex_);
  failure_ = failure;
  changed_.notify_all();
  if (waiting_ > 0 || failure->code() == ErrorCode::kUserCancelled) return;
  lock.unlock();
  observer_.Info(failure->message() + "; working on with the weights that have come");
}

bool HubWeights::Settled(const std::string& name) const {
  return arrived_.contains(name) || failure_ || observer_.Cancelled();
}

std::optional<Error> HubWeights::Wait(const std::string& name) noexcept {
  std::unique_lock lock(mutex_);
  if (!Settled(name)) {
    if (waiting_++ == 0) waiting_since_ = std::chrono::steady_clock::now();
    while (!Settled(name)) {
      changed_.wait_for(lock, kTick);
      if (std::this_thread::get_id() != starter_) continue;
      lock.unlock();
      while_waiting_();
      lock.lock();
    }
    if (--waiting_ == 0) waited_seconds_ += SecondsSince(waiting_since_);
  }
  if (arrived_.contains(name)) return std::nullopt;
  if (failure_) return failure_;
  return Error(ErrorCode::kUserCancelled, fmt::format("Interrupted while waiting for {}", name),
               "Run the command again: the download continues where it stopped");
}

double HubWeights::waited_seconds() const {
  const std::lock_guard lock(mutex_);
  return waited_seconds_;
}

}  // namespace llmq
