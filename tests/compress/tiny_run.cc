#include "tests/compress/tiny_run.h"

#include "base/file.h"

namespace llmq::testing {

TinyCheckpointOptions TinyModelOptions() {
  TinyCheckpointOptions options;
  options.hidden_size = 64;
  options.intermediate_size = 96;
  options.num_layers = 2;
  options.num_heads = 4;
  options.num_kv_heads = 2;
  options.head_dim = 16;
  options.vocab_size = 512;
  options.tied = true;
  options.scale = 0.1;
  options.tokenizer_from = std::filesystem::path(LLMQ_TEST_MODEL_DIR) / "stories260k" / "hf-f32";
  return options;
}

CompressOptions TinyRunOptions(const std::filesystem::path& directory) {
  CompressOptions options;
  options.model = directory / "model";
  options.source_name = "tiny";
  options.output = directory / "out.littlebit";
  options.rank.target_bpw = 3.5;  // small matrices spend most bits on scales
  options.rank.residual = Residual::kOn;
  options.rank.kv_rank_factor = 1;
  options.device = "cpu";
  options.threads = 2;
  options.seed = 7;
  options.train.tokens = 0;
  return options;
}

void TrainSteps(CompressOptions& options, int64_t steps) {
  options.train.batch_sequences = 4;
  options.train.sequence_tokens = 16;
  options.train.tokens = steps * 4 * 16;
  options.train.learning_rate = 2e-3;
  options.training_text.name = "made up";
  std::string text;
  for (int i = 0; i < 40; ++i) {
    text += "Once there was a cat number " + std::to_string(i) + ". It liked to play in the sun. ";
  }
  options.training_text.documents = {text};
}

std::string FileBytes(const std::filesystem::path& path) { return ReadTextFile(path); }

}  // namespace llmq::testing
