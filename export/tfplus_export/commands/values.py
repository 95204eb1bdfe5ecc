"""What users write after an option, as values."""

from __future__ import annotations

from tfplus.errors import UsageError

_MAX_CLASSES = 100_000
_MAX_LABEL = 2**31 - 1


def numbers(option: str, text: str) -> tuple[int, ...]:
    """Reads whole numbers with commas between them.

    Raises:
      UsageError: it is something else, or a shape with a dimension below 1.
    """
    try:
        values = tuple(int(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"{option} '{text}': expected whole numbers with commas") from None
    if option == "--input-shape" and min(values) < 1:
        raise UsageError(f"{option} '{text}': expected dimensions of at least 1")
    return values


def class_labels(text: str) -> tuple[int, ...]:
    """Reads a number of classes, or their labels in order.

    Raises:
      UsageError: it is neither.
    """
    labels = numbers("--classes", text)
    if len(labels) == 1:
        if not 1 <= labels[0] <= _MAX_CLASSES:
            raise UsageError(f"--classes {text}: expected 1 to {_MAX_CLASSES} classes")
        return tuple(range(labels[0]))
    if len(set(labels)) != len(labels) or min(labels) < 0 or max(labels) > _MAX_LABEL:
        raise UsageError(
            f"--classes '{text}': expected distinct labels that are not negative, at most "
            f"{_MAX_LABEL}"
        )
    return labels
