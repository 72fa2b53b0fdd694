#include "cli/interrupt.h"

#include <fmt/core.h>
#include <unistd.h>

#include <csignal>
#include <string_view>

#include "llmq/error.h"

namespace llmq {
namespace {

volatile std::sig_atomic_t g_interrupted = 0;
volatile std::sig_atomic_t g_announce = 0;

// Only async-signal-safe calls here.
void OnInterrupt(int) {
  if (g_interrupted) _exit(130);
  g_interrupted = 1;
  if (!g_announce) return;
  constexpr std::string_view kMessage =
      "\n[llm-quantize] Stopping after the current step (once more: at once)\n";
  (void)!write(STDERR_FILENO, kMessage.data(), kMessage.size());
}

void Handle(int signal_number, void (*handler)(int)) {
  struct sigaction action = {};
  action.sa_handler = handler;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;  // reading a prompt from a terminal goes on until its end
  sigaction(signal_number, &action, nullptr);
}

}  // namespace

void InstallSignalHandlers(bool announce) {
  g_announce = announce ? 1 : 0;
  Handle(SIGINT, OnInterrupt);
  Handle(SIGTERM, OnInterrupt);
  Handle(SIGPIPE, SIG_IGN);
  Handle(SIGXFSZ, SIG_IGN);
}

bool InterruptRequested() { return g_interrupted != 0; }

void ThrowIfInterrupted(const char* doing) {
  if (!InterruptRequested()) return;
  throw Error(ErrorCode::kUserCancelled, fmt::format("Interrupted while {}", doing),
              "Run the command again");
}

}  // namespace llmq
