// Quantization-aware training: the student learns to answer like the teacher, through its signs.
//
// Before: student holds the initialization. After: export packs what it has learned. One Step() is
// one batch: loss and derivatives per micro-batch on the workers, sums in a fixed order, one AdamW
// update that leaves the matrices of the next step behind. The result does not depend on the number
// of workers (docs/decisions/0003-determinism.md).
#ifndef LLMQ_COMPRESS_TRAIN_TRAINER_H_
#define LLMQ_COMPRESS_TRAIN_TRAINER_H_

#include <filesystem>
#include <functional>
#include <vector>

#include "compress/train/data_loader.h"
#include "compress/train/differentiate.h"
#include "compress/train/student.h"
#include "compress/train/trainable_model.h"
#include "compress/worker_pool.h"
#include "llmq/compress.h"

namespace llmq {

class Trainer {
 public:
  // What the student should answer to tokens [B, T], which begin at sequence `first` of all that
  // the data hand out. Thread-safe.
  using Teaching = std::function<Answers(int64_t first, const at::Tensor& tokens)>;

  // Borrows everything but options and teaching. Nothing is automatic in the options here:
  // sequence_tokens is positive, precision and gradient_checkpointing are not kAuto. The device is
  // that of the student's parameters.
  Trainer(const TrainableModel& model, const TrainOptions& options, Teaching teaching,
          Student& student, DataLoader& data, WorkerPool& workers);

  int64_t total_steps() const { return total_steps_; }
  // Another end, from here on, for the schedule of the learning rate too. At least step().
  void Retarget(int64_t total_steps) { total_steps_ = total_steps; }
  int64_t step() const { return static_cast<int64_t>(losses_.size()); }  // steps done
  int64_t trained_tokens() const;
  const std::vector<double>& losses() const { return losses_; }  // one per step done

  // One batch. Returns its loss before the update. Throws Error{kFactorizationFailed} if it is not
  // finite.
  double Step();

  // The whole state, exactly. Load throws Error{kGeneral} if the file is damaged or of another run;
  // then nothing has changed.
  void Save(const std::filesystem::path& path) const;
  void Load(const std::filesystem::path& path);

 private:
  const TrainableModel& model_;
  TrainOptions options_;
  Teaching teaching_;
  Student& student_;
  DataLoader& data_;
  WorkerPool& workers_;
  int64_t total_steps_;
  std::vector<double> losses_;
};

}  // namespace llmq

#endif  // LLMQ_COMPRESS_TRAIN_TRAINER_H_
