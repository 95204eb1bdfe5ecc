"""All iterations as one table: a pandas DataFrame, or a file of CSV or Parquet."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from tfplus.campaign.results import COLUMNS, Campaign, read
from tfplus.errors import MissingExtraError, UsageError

_PARQUET = ".parquet"


def load(path: str | Path) -> Any:
    """The iterations of a campaign as a pandas DataFrame, a row an iteration.

    Args:
      path: the folder of a result.

    Returns:
      A frame of the columns `model`, `batch_size`, `phase`, `device`, `threads`, `repetition`,
      `reference` (`begin` or `end` of a block, else empty), `iteration`, `is_warm_up`, `time_ms`
      (milliseconds), `runtime`, `model_sha256`, `accelerator`, `priority`, `co_runner`, `lowering`,
      `pass`.

    Raises:
      DataError: it is no result.
      MissingExtraError: pandas is not installed.
    """
    pandas = _module("pandas", "a DataFrame")
    return pandas.DataFrame(list(read(Path(path)).rows()), columns=list(COLUMNS))


def write(campaign: Campaign, path: Path) -> None:
    """Writes the iterations; the suffix says how.

    Args:
      campaign: what was measured.
      path: ends in `.csv` or `.parquet`.

    Raises:
      UsageError: it ends in something else.
      MissingExtraError: Parquet is asked for, and pyarrow is not installed.
      OSError: the disk is full; what was there stays.
    """
    if path.suffix == ".csv":
        campaign.write_csv(path)
    elif path.suffix == _PARQUET:
        _write_parquet(campaign, path)
    else:
        raise UsageError(f"{path}: expected a name that ends in .csv or {_PARQUET}")


def _write_parquet(campaign: Campaign, path: Path) -> None:
    arrow = _module("pyarrow", "a file of Parquet")
    parquet = _module("pyarrow.parquet", "a file of Parquet")
    columns = zip(*campaign.rows(), strict=True)
    table = arrow.table({n: list(c) for n, c in zip(COLUMNS, columns, strict=True)})
    # Who reads the file alone knows where it is from.
    about = {f"tfplus.{name}": str(of) for name, of in campaign.environments.items()}
    about["tfplus.plan_sha256"] = campaign.plan.sha256
    part = path.with_name(f".{path.name}.part")
    try:
        parquet.write_table(table.replace_schema_metadata(about), part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _module(name: str, what: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise MissingExtraError.of(what, "campaign") from None
