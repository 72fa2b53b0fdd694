#include "tests/hub/local_hub.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <sstream>
#include <stdexcept>

#include "base/file.h"

namespace llmq::testing {

bool LocalHub::Available() { return LLMQ_TEST_PYTHON[0] != '\0'; }

LocalHub::LocalHub() {
  setenv("no_proxy", "127.0.0.1,127.0.0.2", 1);
  int to_child[2];
  int from_child[2];
  if (pipe2(to_child, O_CLOEXEC) != 0 || pipe2(from_child, O_CLOEXEC) != 0) {
    throw std::runtime_error("pipe");
  }
  const std::string log = directory_ / "log";
  child_ = fork();
  if (child_ == 0) {
    dup2(to_child[0], STDIN_FILENO);
    dup2(from_child[1], STDOUT_FILENO);
    execl(LLMQ_TEST_PYTHON, LLMQ_TEST_PYTHON, LLMQ_TEST_HUB_SERVER, LLMQ_TEST_MODEL_DIR,
          log.c_str(), nullptr);
    _exit(127);
  }
  close(to_child[0]);
  close(from_child[1]);
  input_ = to_child[1];
  std::string line;
  for (char c = 0; read(from_child[0], &c, 1) == 1 && c != '\n';) line.push_back(c);
  close(from_child[0]);
  hub_ = ParseJson(line, "hub_server.py").at("hub").get<std::string>();
}

LocalHub::~LocalHub() {
  close(input_);
  waitpid(child_, nullptr, 0);
}

std::vector<Json> LocalHub::Requests() const {
  std::vector<Json> requests;
  std::istringstream log(ReadTextFile(directory_ / "log"));
  for (std::string line; std::getline(log, line);) requests.push_back(ParseJson(line, "log"));
  return requests;
}

int LocalHub::Count(const std::string& method, const std::string& part) const {
  int count = 0;
  for (const Json& request : Requests()) {
    count += request.at("method") == method &&
             request.at("path").get<std::string>().find(part) != std::string::npos;
  }
  return count;
}

HubSettings LocalHub::Settings(const std::filesystem::path& directory) const {
  HubSettings settings;
  settings.endpoint = hub_;
  settings.cache = directory / "cache";
  settings.metadata_timeout = 2;
  settings.stall_timeout = 2;
  settings.first_wait = 0.001;
  return settings;
}

}  // namespace llmq::testing
