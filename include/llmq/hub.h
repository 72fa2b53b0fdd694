// Models and data sets of the Hugging Face Hub: "org/name" becomes files in the cache that Python's
// huggingface_hub shares.
//
// Only what is needed is fetched; what is in the cache is not fetched again. The token goes to
// the Hub's own host and nowhere else, and appears in no message.
#ifndef LLMQ_HUB_H_
#define LLMQ_HUB_H_

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "llmq/arriving_weights.h"

namespace llmq {

enum class HubKind { kModel, kDataset };

struct HubRepository {
  std::string id;                 // "org/name"
  std::string revision = "main";  // branch, tag or commit
  HubKind kind = HubKind::kModel;
};

// "org/name" or "org/name@revision"; nullopt for everything else, file names such as
// "dir/x.littlebit" among them.
std::optional<HubRepository> ParseHubModelId(std::string_view text);
// What may stand behind "@" or --revision.
bool IsHubRevision(std::string_view revision);

struct HubSettings {
  std::string endpoint = "https://huggingface.co";  // HF_ENDPOINT
  std::filesystem::path cache;                      // HF_HUB_CACHE, or below HF_HOME
  std::string token;                                // HF_TOKEN or the token file; empty: none
  bool offline = false;                             // HF_HUB_OFFLINE, TRANSFORMERS_OFFLINE
  bool symlinks = true;                             // HF_HUB_DISABLE_SYMLINKS
  bool progress = true;                             // HF_HUB_DISABLE_PROGRESS_BARS
  int metadata_timeout = 10;                        // seconds; HF_HUB_ETAG_TIMEOUT
  int stall_timeout = 10;                           // seconds; HF_HUB_DOWNLOAD_TIMEOUT
  double first_wait = 1.0;                          // seconds before the first retry; then doubled
};

// From the environment, with the names and defaults of huggingface_hub. Throws
// Error{kInvalidArguments} naming a malformed variable (but never the token's value).
HubSettings ReadHubSettings(
    const std::function<std::optional<std::string>(const char* name)>& look_up);

// Hears what a download does. Called from the thread that asked for it, one call at a time.
class HubObserver {
 public:
  virtual ~HubObserver() = default;
  virtual void BeginDownload(uint64_t total_bytes, uint64_t present_bytes) = 0;
  virtual void Downloaded(uint64_t bytes, double bytes_per_second) = 0;
  virtual void EndDownload() = 0;
  virtual void Info(const std::string& message) = 0;
  virtual void Warning(const std::string& message) = 0;
  // True ends the work with Error{kUserCancelled}; what has come stays for the next run.
  // Also called from other threads.
  virtual bool Cancelled() const = 0;
};

class HubModel {
 public:
  // Finds the commit that the revision means: by asking the Hub, or in the cache if the revision is
  // a commit that is there, or when offline. `observer` must outlive this.
  // Throws Error: kModelNotFound (no such repository or revision, or offline and not in the cache),
  // kAuthenticationRequired, kGeneral (the Hub cannot be reached), kUserCancelled.
  HubModel(HubSettings settings, HubRepository repository, HubObserver& observer);
  ~HubModel();
  HubModel(const HubModel&) = delete;
  HubModel& operator=(const HubModel&) = delete;

  // Fetches config.json, tokenizer files and the index of the weights, if they are not there.
  // Returns the snapshot's directory. Throws as the constructor, and Error{kGeneral} for a
  // repository without safetensors, a full disk, a file that is not what the Hub announced.
  std::filesystem::path FetchSmallFiles();
  // The same with all weights. After FetchSmallFiles() it fetches only the rest.
  std::filesystem::path FetchAll();

  // Of the weights that are not in the cache the headers, without the rest; after
  // FetchSmallFiles(). nullopt if the Hub cannot be asked and the small files came from the cache.
  std::optional<std::vector<ArrivingFile>> FetchHeaders();
  // FetchAll(), weights in this order (others after them). `arrived` hears of each that is there,
  // from any thread.
  void FetchWeights(const std::vector<std::string>& order,
                    const std::function<void(const std::string& name)>& arrived);
  // Bytes that FetchWeights() will write. Throws Error{kGeneral} if there is no room for them.
  // After FetchHeaders().
  uint64_t ExpectRoom() const;
  // Ends a Fetch...() of another thread with Error{kUserCancelled}.
  void Stop();
  // Names and checksums of the weight files, which name their content: of the Hub's list, or those
  // that the cache's links show. Empty if neither says so.
  std::string WeightsDigest() const;

  // The snapshot holds config.json and all weights: FetchAll() would fetch nothing large.
  bool HasWeights() const;
  const std::string& commit() const;  // 40 hexadecimal digits

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// The weights that a model's cache lacks, fetched by a thread of their own while others work with
// those that have come.
class HubWeights : public ArrivingWeights {
 public:
  // `files` are model.FetchHeaders(). Both must outlive this.
  HubWeights(HubModel& model, std::vector<ArrivingFile> files, HubObserver& observer);
  ~HubWeights() override;  // ends the download; what has come stays for the next run
  HubWeights(const HubWeights&) = delete;
  HubWeights& operator=(const HubWeights&) = delete;

  // Begins. From here on the observer hears of the download from its thread. `while_waiting` is
  // called ten times a second while the thread that called Start() waits for a file. Throws
  // Error{kGeneral} if there is no room on the disk.
  void Start(const std::vector<std::string>& order, std::function<void()> while_waiting);
  std::span<const ArrivingFile> files() const override { return files_; }
  std::optional<Error> Wait(const std::string& name) noexcept override;
  // Time in which something could not go on without a file that was still to come.
  double waited_seconds() const;

 private:
  void Run(const std::vector<std::string>& order);
  bool Settled(const std::string& name) const;

  HubModel& model_;
  const std::vector<ArrivingFile> files_;
  HubObserver& observer_;
  std::function<void()> while_waiting_;
  std::thread::id starter_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::set<std::string> arrived_;
  std::optional<Error> failure_;
  int waiting_ = 0;  // threads
  std::chrono::steady_clock::time_point waiting_since_;
  double waited_seconds_ = 0;
  std::thread thread_;
};

// Files of a repository, "folder/file.parquet", by the same rules. Returns their paths in the cache
// in the order of `names`. Throws as HubModel.
std::vector<std::filesystem::path> FetchHubFiles(HubSettings settings, HubRepository repository,
                                                 const std::vector<std::string>& names,
                                                 HubObserver& observer);

}  // namespace llmq

#endif  // LLMQ_HUB_H_
