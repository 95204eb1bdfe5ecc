"""Each operation of the table: traced, against TensorFlow's gradient, and against slopes."""

from __future__ import annotations

import pytest
import rules_document
from rule_cases import BATCH, CASES, measured

from tfplus_export.lowering.table import RULES
from tfplus_export.tracing.graph import trace


def test_every_rule_has_a_case() -> None:
    assert sorted(CASES) == sorted(RULES)


@pytest.mark.parametrize("operation", CASES)
def test_a_rule(operation: str) -> None:
    case = CASES[operation]
    model = case.build()
    traced = {op.type for op in trace(model, BATCH, training=True).operations}
    assert operation in traced, f"{case.written} makes {sorted(traced)}"
    gradient, slope = measured(case)
    assert gradient < 2e-5
    assert slope < 1e-4 or not case.slopes


def test_the_document_lists_every_rule() -> None:
    assert rules_document.main(["--check"]) == 0, "scripts/rules-table writes it anew"
