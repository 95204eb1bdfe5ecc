"""Calls to an agent in its own process."""

from __future__ import annotations

from typing import Any

import pytest
from agent_calls import Start

from tfplus.model_file.artifact import Artifact


@pytest.fixture
def agent(start_agent: Start, model: Artifact) -> Any:
    """An agent with the model loaded."""
    started = start_agent()
    started.client.load(started.client.upload(model.path))
    return started
