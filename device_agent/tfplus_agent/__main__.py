"""`python -m tfplus_agent`: the agent where tfplus is on the path but not installed."""

import sys

from tfplus.cli.entry import interruptible


def _agent() -> None:
    from tfplus.cli.main import answer
    from tfplus.errors import TfplusError
    from tfplus_agent.cli import app

    try:
        app()
    except (TfplusError, OSError, KeyboardInterrupt) as error:
        sys.exit(answer(error))


interruptible(_agent)
