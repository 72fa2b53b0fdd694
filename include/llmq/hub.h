// Models and data sets of the Hugging Face Hub: "org/name" becomes files in the cache that Python's
// huggingface_hub shares.
//
// Only what is needed is fetched; what is in the cache is not fetched again. The token goes to
// the Hub's own host and nowhere else, and appears in no message.
#ifndef LLMQ_HUB_H_
#define LLMQ_HUB_H_

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

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

  // The snapshot holds config.json and all weights: FetchAll() would fetch nothing large.
  bool HasWeights() const;
  const std::string& commit() const;  // 40 hexadecimal digits

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Files of a repository, "folder/file.parquet", by the same rules. Returns their paths in the cache
// in the order of `names`. Throws as HubModel.
std::vector<std::filesystem::path> FetchHubFiles(HubSettings settings, HubRepository repository,
                                                 const std::vector<std::string>& names,
                                                 HubObserver& observer);

}  // namespace llmq

#endif  // LLMQ_HUB_H_
