#include "compress/train/distill_loss.h"

namespace llmq {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// A block whose output is zero everywhere must not divide by zero.
constexpr double kSmallestMeanSquare = 1e-12;
// Of the tokens that are not among the likeliest: differences from one are no better than f32.
constexpr double kSmallestRest = 1e-6;

// KL(teacher || student), mean over tokens. The derivative by the student's logits is the
// difference of the probabilities: it is all that the graph keeps of the vocabulary.
struct DivergenceFunction : torch::autograd::Function<DivergenceFunction> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& teacher,
                            const at::Tensor& student) {
    const double tokens = static_cast<double>(student.numel() / student.size(-1));
    const at::Tensor log_t = at::log_softmax(teacher, -1);  // [B, T, vocab]
    at::Tensor log_s = at::log_softmax(student, -1);        // [B, T, vocab]
    const at::Tensor probability = log_t.exp();             // [B, T, vocab]
    const at::Tensor difference = log_t - log_s;            // [B, T, vocab]
    const at::Tensor divergence = at::dot(probability.view(-1), difference.view(-1)) / tokens;
    context->save_for_backward({log_s.exp_().sub_(probability).div_(tokens)});
    return divergence;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    return {at::Tensor(), context->get_saved_variables()[0] * gradients[0]};
  }
};

}  // namespace

at::Tensor LogitLoss(const at::Tensor& teacher, const at::Tensor& student) {
  return DivergenceFunction::apply(teacher.to(at::kFloat), student.to(at::kFloat));
}

at::Tensor TopLogitLoss(const TopAnswers& teacher, const at::Tensor& student) {
  const at::Tensor log_s = at::log_softmax(student.to(at::kFloat), -1)
                               .gather(-1, teacher.tokens.to(at::kLong));  // [B, T, k]
  const at::Tensor p = teacher.log_p.exp();                                // [B, T, k]
  const auto log_rest = [](const at::Tensor& known) {                      // [B, T, k] -> [B, T]
    return (1 - known.sum(-1)).clamp_min(kSmallestRest).log();
  };
  const at::Tensor rest = log_rest(p);
  const at::Tensor divergence = (p * (teacher.log_p - log_s)).sum(-1) +
                                rest.exp() * (rest - log_rest(log_s.exp()));  // [B, T]
  return divergence.mean();
}

at::Tensor HiddenLoss(const at::Tensor& teacher, const at::Tensor& student) {
  return at::mse_loss(student, teacher) / teacher.square().mean().clamp_min(kSmallestMeanSquare);
}

at::Tensor DistillLoss(const ForwardResult& teacher, const ForwardResult& student,
                       double hidden_weight) {
  at::Tensor loss = LogitLoss(teacher.logits, student.logits);
  if (hidden_weight == 0) return loss;
  for (size_t layer = 0; layer < teacher.hidden.size(); ++layer) {
    loss = loss + HiddenLoss(teacher.hidden[layer], student.hidden[layer]) * hidden_weight;
  }
  return loss;
}

}  // namespace llmq
