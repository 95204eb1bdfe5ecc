"""What docs/gpu.md says of the models of the zoo, around their tables."""

from __future__ import annotations

TITLE = "Models"
HEAD = """{software}.

{steps} training steps at batch {batch} over two batches in turn: SGD at 0.003, with momentum 0.9 at
0.001, Adam at 0.0001. All errors are relative to the CPU, which trains the file as an agent does.
`grouped` is a small net of grouped convolutions. A software driver says nothing of speed.

- **Step by step**: the GPU goes its own way, and each of its steps is taken on the CPU, too, from
  the state that the GPU took it from. The largest error of a loss, at most {loss:.0e}, and the
  median error of the worst variable's update, at most {update:.0e}, beyond the rounding of the
  variable itself.
- **All steps**: the GPU and the CPU each go their own way from the same start. The largest error of
  a loss, and the norm of the difference between the weights in the end, in relation to how far the
  CPU's have moved.
- **Other kernels**: the same way of the GPU's graph on the CPU, with TFLite's own kernels instead
  of XNNPACK's. Where these leave the CPU's way, too, it is one that rounding decides: of some
  hundred thousand activations one lies so close to the corner of a ReLU that kernels disagree on
  its side, and a hundredth of one update is another.

"""
COLUMNS = (
    "Model",
    "Optimizer",
    "Fully accelerated",
    "First and last loss",
    "Step by step: loss, update",
    "All steps: loss, weights",
    "Other kernels: loss, weights",
)
HALF_TITLE = "Arithmetic of 16 bits"
HALF_MODELS = ("small-cnn", "keyword-cnn")
HALF_HEAD = """{software}.

The steps of the models above with the precision `float16` instead of `float32`, {steps} of them:
whether the device computes otherwise, and how far losses and weights are off those of the CPU in
`float32` and in `float16`. Weights are updated in that precision too, so that an update below a
thousandth of its weight is lost: `float32` is what tfplus asks for.
{device}
| Model | Optimizer | Honoured | Loss off by | Weights off by |
|---|---|---|---|---|
"""
SAME_BITS = "no: the same bits"
HALF_OF_SAME_BITS = """
**This device computes `float16` as `float32`, to the last bit**, as it is free to do: nothing here
tells what arithmetic of 16 bits costs on a device that has it.
"""
