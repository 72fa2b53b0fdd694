// hub_server.py as a child process of one test program.
#ifndef LLMQ_TESTS_HUB_LOCAL_HUB_H_
#define LLMQ_TESTS_HUB_LOCAL_HUB_H_

#include <sys/types.h>

#include <atomic>
#include <string>
#include <vector>

#include "base/json.h"
#include "llmq/hub.h"
#include "tests/support/temporary_directory.h"

namespace llmq::testing {

// Starts the server; it ends with this object.
class LocalHub {
 public:
  LocalHub();
  ~LocalHub();
  LocalHub(const LocalHub&) = delete;
  LocalHub& operator=(const LocalHub&) = delete;

  // No Python here.
  static bool Available();

  const std::string& url() const { return hub_; }
  // What has been asked so far: {"host", "method", "path", "headers"}.
  std::vector<Json> Requests() const;
  // Requests of this method whose path contains `part`.
  int Count(const std::string& method, const std::string& part) const;

  // Settings for this Hub: a cache below `directory`, quick retries, no token.
  HubSettings Settings(const std::filesystem::path& directory) const;

 private:
  TemporaryDirectory directory_;
  std::string hub_;
  pid_t child_ = -1;
  int input_ = -1;  // closing it ends the server
};

// Keeps what it hears.
class HeardObserver : public HubObserver {
 public:
  void BeginDownload(uint64_t total_bytes, uint64_t present_bytes) override {
    total = total_bytes;
    present = present_bytes;
    ++downloads;
  }
  void Downloaded(uint64_t bytes, double) override {
    last = bytes;
    if (cancel_at > 0 && bytes >= cancel_at) cancelled = true;
  }
  void EndDownload() override {}
  void Info(const std::string& message) override { infos.push_back(message); }
  void Warning(const std::string& message) override { warnings.push_back(message); }
  bool Cancelled() const override { return cancelled; }

  uint64_t total = 0;
  uint64_t present = 0;
  uint64_t last = 0;
  int downloads = 0;
  uint64_t cancel_at = 0;  // 0: never
  std::atomic<bool> cancelled = false;
  std::vector<std::string> infos;
  std::vector<std::string> warnings;
};

}  // namespace llmq::testing

#endif  // LLMQ_TESTS_HUB_LOCAL_HUB_H_
