"""What the benchmarks share: models, processes that are timed, results on disk, tables."""
