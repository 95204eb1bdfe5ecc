"""`python -m tfplus`."""

from tfplus.cli.main import main

main()
