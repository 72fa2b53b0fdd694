// Names of the error codes; the codes themselves are the contract in llmq/error.h.
#include "llmq/error.h"

#include <utility>

namespace llmq {

const char* ErrorTypeName(ErrorCode code) {
  switch (code) {
    case ErrorCode::kGeneral: return "GeneralError";
    case ErrorCode::kInvalidArguments: return "InvalidArguments";
    case ErrorCode::kModelNotFound: return "ModelNotFound";
    case ErrorCode::kAuthenticationRequired: return "AuthenticationRequired";
    case ErrorCode::kOutOfMemory: return "OutOfMemory";
    case ErrorCode::kValidationFailed: return "ValidationFailed";
    case ErrorCode::kCheckpointError: return "CheckpointError";
    case ErrorCode::kUnsupportedConversion: return "UnsupportedConversion";
    case ErrorCode::kUserCancelled: return "UserCancelled";
    case ErrorCode::kFactorizationFailed: return "FactorizationFailed";
    case ErrorCode::kQualityThresholdExceeded: return "QualityThresholdExceeded";
    case ErrorCode::kInvalidBpwRange: return "InvalidBPWRange";
    case ErrorCode::kRankSelectionFailed: return "RankSelectionFailed";
    case ErrorCode::kReconstructionFailed: return "ReconstructionFailed";
  }
  return "GeneralError";
}

Error::Error(ErrorCode code, std::string message, std::string suggestion)
    : code_(code), message_(std::move(message)), suggestion_(std::move(suggestion)) {}

}  // namespace llmq
