#include "hub/download_pool.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

#include "base/file.h"
#include "llmq/error.h"

namespace llmq {
namespace {

constexpr size_t kThreads = 4;
constexpr auto kTick = std::chrono::milliseconds(100);

// Bytes per second over the last few seconds.
class Speed {
 public:
  double Update(uint64_t bytes) {
    constexpr auto kWindow = std::chrono::seconds(5);
    const auto now = Clock::now();
    points_.emplace_back(now, bytes);
    while (points_.size() > 2 && now - points_.front().first > kWindow) points_.pop_front();
    const std::chrono::duration<double> span = now - points_.front().first;
    if (span.count() <= 0 || bytes < points_.front().second) return 0;
    return static_cast<double>(bytes - points_.front().second) / span.count();
  }

 private:
  using Clock = std::chrono::steady_clock;
  std::deque<std::pair<Clock::time_point, uint64_t>> points_;
};

class Pool {
 public:
  Pool(const HubSettings& settings, const HubRepository& repository, HubObserver& observer,
       size_t count, const PoolTask& task)
      : settings_(settings),
        repository_(repository),
        observer_(observer),
        count_(count),
        task_(task) {}

  void Run() {
    const size_t count = std::min(kThreads, count_);
    running_ = count;
    std::vector<std::jthread> threads;
    for (size_t i = 0; i < count; ++i) threads.emplace_back([this] { Work(); });
    Watch();
    threads.clear();  // joins
    if (failure_) std::rethrow_exception(failure_);
  }

 private:
  // The calling thread: tells the observer, listens for the end.
  void Watch() {
    Speed speed;
    std::unique_lock lock(mutex_);
    while (running_ > 0) {
      changed_.wait_for(lock, kTick);
      std::vector<std::string> messages = std::exchange(messages_, {});
      lock.unlock();
      for (const std::string& message : messages) observer_.Info(message);
      const auto bytes = static_cast<uint64_t>(std::max<int64_t>(0, bytes_.load()));
      observer_.Downloaded(bytes, speed.Update(bytes));
      if (observer_.Cancelled()) stopping_ = true;
      lock.lock();
    }
  }

  void Work() {
    try {
      HubSession session(settings_, repository_,
                         {.cancelled = [this] { return stopping_ || observer_.Cancelled(); },
                          .info = [this](const std::string& message) { Say(message); }});
      while (!stopping_) {
        const size_t next = next_++;
        if (next >= count_) break;
        task_(session, next, [this](int64_t bytes) { bytes_ += bytes; });
      }
    } catch (...) {
      const std::lock_guard lock(mutex_);
      if (!failure_) failure_ = std::current_exception();
      stopping_ = true;
    }
    const std::lock_guard lock(mutex_);
    --running_;
    changed_.notify_one();
  }

  void Say(const std::string& message) {
    const std::lock_guard lock(mutex_);
    messages_.push_back(message);
  }

  const HubSettings& settings_;
  const HubRepository& repository_;
  HubObserver& observer_;
  const size_t count_;
  const PoolTask& task_;
  std::atomic<size_t> next_ = 0;
  std::atomic<int64_t> bytes_ = 0;
  std::atomic<bool> stopping_ = false;
  std::mutex mutex_;
  std::condition_variable changed_;
  size_t running_ = 0;
  std::vector<std::string> messages_;
  std::exception_ptr failure_;
};

// What earlier runs left of the file, as far as it can be known before the Hub names its blob.
uint64_t PresentBytes(const HubCache& cache, const HubFile& file) {
  std::error_code failure;
  const std::string etag = file.sha256.empty() ? file.git_oid : file.sha256;
  for (const std::string& name : {etag, etag + ".incomplete"}) {
    const uint64_t bytes = std::filesystem::file_size(cache.Blob(name), failure);
    if (!failure) return std::min(bytes, file.size);
  }
  return 0;
}

struct FileBytes {
  uint64_t total = 0;
  uint64_t present = 0;
};

FileBytes Count(const HubCache& cache, const std::vector<HubFile>& files) {
  FileBytes bytes;
  for (const HubFile& file : files) {
    bytes.total += file.size;
    bytes.present += PresentBytes(cache, file);
  }
  return bytes;
}

}  // namespace

void RunPool(const HubSettings& settings, const HubRepository& repository, HubObserver& observer,
             size_t count, const PoolTask& task) {
  Pool(settings, repository, observer, count, task).Run();
}

uint64_t CheckRoom(const HubSettings& settings, const HubRepository& repository,
                   const HubCache& cache, const std::vector<HubFile>& files) {
  std::error_code failure;
  std::filesystem::create_directories(cache.folder(), failure);
  if (failure) {
    throw Error(ErrorCode::kGeneral,
                fmt::format("{}: cannot write: {}", cache.folder().string(), failure.message()),
                "Choose another cache with HF_HUB_CACHE or HF_HOME");
  }
  const auto [total, present] = Count(cache, files);
  const uint64_t bytes = total - present;
  const uint64_t free = FreeDiskBytes(cache.folder());
  if (free >= bytes) return bytes;
  constexpr double kGiga = 1 << 30;
  throw Error(ErrorCode::kGeneral,
              fmt::format("{}: expected {:.2f} GB of free disk space for {}, found {:.2f} GB",
                          settings.cache.string(), static_cast<double>(bytes) / kGiga,
                          repository.id, static_cast<double>(free) / kGiga),
              "Free disk space, or choose another cache with HF_HUB_CACHE or HF_HOME");
}

void DownloadFiles(const HubSettings& settings, const HubRepository& repository,
                   const HubCache& cache, const std::string& commit,
                   const std::vector<HubFile>& files, HubObserver& observer,
                   const std::function<void(const std::string& name)>& arrived) {
  (void)CheckRoom(settings, repository, cache, files);
  const auto [total, present] = Count(cache, files);
  observer.BeginDownload(total, present);
  RunPool(settings, repository, observer, files.size(),
          [&](HubSession& session, size_t index, const CountBytes& count) {
            DownloadFile(session, cache, commit, files[index], count);
            arrived(files[index].name);
          });
  observer.EndDownload();
}

}  // namespace llmq
