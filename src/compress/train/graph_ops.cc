#include "compress/train/graph_ops.h"

namespace llmq {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct RmsNormFunction : torch::autograd::Function<RmsNormFunction> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
                            double epsilon) {
    const double width = static_cast<double>(x.size(-1));
    const at::Tensor norm = at::linalg_vector_norm(x, 2, {-1}, /*keepdim=*/true);  // [.., 1]
    const at::Tensor inverse = norm.square_().div_(width).add_(epsilon).rsqrt_();  // [.., 1]
    context->save_for_backward({x, weight, inverse});
    return (x * inverse).mul_(weight);
  }

  // With n = x * inverse: dn = dy * weight, dweight = sum dy * n, and
  // dx = inverse (dn - n mean(dn n)).
  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &weight = saved[1], &inverse = saved[2];
    const int64_t width = x.size(-1);
    const at::Tensor products = (gradients[0] * x).reshape({-1, width});  // [tokens, d]
    const at::Tensor by_weight = products.t().mv(inverse.reshape(-1));    // [d]
    const at::Tensor along = products.mv(weight).view(inverse.sizes());   // [.., 1]: sum dn x
    const at::Tensor pull = (along * inverse.pow(3)).div_(static_cast<double>(width));  // [.., 1]
    at::Tensor by_x = (gradients[0] * weight).mul_(inverse).addcmul_(x, pull, -1);
    return {by_x, by_weight, at::Tensor()};
  }
};

// x turned by the angles; by their negatives with sign -1.
at::Tensor Turn(const at::Tensor& x, const at::Tensor& cosine, const at::Tensor& sine,
                double sign) {
  const int64_t half = x.size(-1) / 2;
  const at::Tensor first = x.narrow(-1, 0, half), second = x.narrow(-1, half, half);
  at::Tensor turned = at::empty_like(x);
  at::Tensor turned_first = turned.narrow(-1, 0, half),
             turned_second = turned.narrow(-1, half, half);
  at::mul_out(turned_first, first, cosine).addcmul_(second, sine, -sign);
  at::mul_out(turned_second, second, cosine).addcmul_(first, sine, sign);
  return turned;
}

struct RotateFunction : torch::autograd::Function<RotateFunction> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& cosine,
                            const at::Tensor& sine) {
    context->save_for_backward({cosine, sine});
    return Turn(x, cosine, sine, 1);
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    return {Turn(gradients[0], saved[0], saved[1], -1), at::Tensor(), at::Tensor()};
  }
};

}  // namespace

at::Tensor RmsNorm(const at::Tensor& x, const at::Tensor& weight, double epsilon) {
  // Products under autocast are bfloat16, and the backward pass multiplies with the f32 weight.
  return RmsNormFunction::apply(x.to(at::kFloat), weight, epsilon);
}

at::Tensor RotatePairs(const at::Tensor& x, const at::Tensor& cosine, const at::Tensor& sine) {
  return RotateFunction::apply(x, cosine, sine);
}

}  // namespace llmq
