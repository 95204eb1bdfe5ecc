"""What `tfplus inspect` says of the comparison, whatever stands in the file."""

from __future__ import annotations

from tfplus.cli.text.parity import lines

RUN = {"steps": 5, "update": 2e-6, "loss": 1e-7, "outputs": 0.0, "worst_variable": "shared/a"}


def test_a_line_a_comparison() -> None:
    gpu = {"runs": [{"on": "GPU", "steps": 3, "update": 3e-7, "worst_variable": "shared/b"}]}
    runs = [
        RUN
        | {"xnnpack": True, "data": "real", "own_update": 1e-3, "float64": 2e-13, "magnified": 7},
        RUN | {"xnnpack": False},
    ]
    assert lines({"against": "TensorFlow", "runs": runs, "gpu": gpu}).splitlines() == [
        "TensorFlow",
        "with XNNPACK, real data, 5 steps: update 2e-06, loss 1e-07, outputs 0e+00, worst "
        "shared/a; TensorFlow's own 1e-03; 7 small updates at a higher learning rate, too; "
        "in double precision 2e-13",
        "builtin kernels, random data, 5 steps: update 2e-06, loss 1e-07, outputs 0e+00, worst "
        "shared/a",
        "without variables, GPU, 3 steps: update 3e-07, worst shared/b",
    ]


def test_what_is_no_comparison_is_passed_over() -> None:
    assert lines({}) == "nothing"
    assert lines({"runs": 3, "gpu": None, "x": {"runs": [1, "a"]}}) == "nothing"
