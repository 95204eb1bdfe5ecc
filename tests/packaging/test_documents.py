"""What the documents say of the source lies where they say."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DESIGN = (ROOT / "docs" / "design.md").read_text("utf-8")
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def questions() -> list[tuple[str, str]]:
    section = DESIGN.partition("## Ten questions")[2].partition("\n## ")[0]
    return re.findall(r"^\| (.+\?) \| `([^`]+)` \|$", section, re.MULTILINE)


def tracked() -> list[str]:
    done = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=30
    )
    if done.returncode:
        pytest.skip("no git repository around the source")
    return done.stdout.splitlines()


def test_ten_questions_have_an_answer_that_exists() -> None:
    asked = questions()
    assert len(asked) == 10
    assert [path for _, path in asked if not (ROOT / path).exists()] == []


def test_source_files_that_the_design_names_exist() -> None:
    """A path may be short, such as `tracing/graph.py`: some file must end with it."""
    files = tracked()
    named = set(re.findall(r"`((?:[\w.-]+/)+[\w.-]+\.py)`", DESIGN))
    assert len(named) > 20
    gone = {path for path in named if not any(f"/{f}".endswith(f"/{path}") for f in files)}
    assert gone == set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: p.name)
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    text = document.read_text("utf-8")
    targets = re.findall(r"\]\((?!https?:)([^)#\s]+)(?:#[^)]*)?\)", text)
    assert [t for t in targets if not (document.parent / t).exists()] == []
