"""`python -m tfplus`."""

from tfplus.cli.entry import main

main()
