// Ctrl-C: the first asks the running work to save and stop, the second ends the process at once.
#ifndef LLMQ_CLI_INTERRUPT_H_
#define LLMQ_CLI_INTERRUPT_H_

namespace llmq {

// Handles SIGINT and SIGTERM, and ignores SIGPIPE and SIGXFSZ: a write that cannot be done is an
// error with a message, not a death that leaves temporary files behind. `announce`: say on stderr
// that the first signal was heard.
void InstallSignalHandlers(bool announce);

// True after the first signal.
bool InterruptRequested();

// Throws Error{kUserCancelled} if a signal came. `doing` says what was interrupted.
void ThrowIfInterrupted(const char* doing);

}  // namespace llmq

#endif  // LLMQ_CLI_INTERRUPT_H_
