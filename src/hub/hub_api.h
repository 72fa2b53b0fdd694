// The Hub's lists: which commit a revision is, which files it has.
#ifndef LLMQ_HUB_HUB_API_H_
#define LLMQ_HUB_HUB_API_H_

#include <cstdint>
#include <string>
#include <vector>

#include "hub/hub_session.h"

namespace llmq {

struct HubFile {
  std::string name;  // in the repository: "file" or "folder/file"
  uint64_t size = 0;
  std::string
      git_oid;         // 40 hexadecimal digits: SHA-1 of the git blob (for LFS files, of a pointer)
  std::string sha256;  // 64, of an LFS file's bytes; else empty
};

bool IsHex(std::string_view text, size_t digits);

// 40 hexadecimal digits. Throws Error as hub_errors.h says, TransportError if there is no answer.
std::string FetchCommit(HubSession& session, bool retry);

// The files of this folder (empty: the top of the repository), without those in folders of it.
// Throws in the same way.
std::vector<HubFile> FetchFileList(HubSession& session, const std::string& commit,
                                   const std::string& folder = "");

// Where the bytes of a file are.
std::string FileUrl(const HubSession& session, const std::string& commit, const std::string& name);

}  // namespace llmq

#endif  // LLMQ_HUB_HUB_API_H_
