"""Loading a `.keras` file, which may hold code: a Lambda layer's is Python bytecode."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Generator
from pathlib import Path
from typing import Any, cast

import keras

from tfplus.errors import ExportError
from tfplus.runtime.versions import release
from tfplus_export.system.user_code import first_line, users_folder

_CONFIG, _METADATA = "config.json", "metadata.json"
_CODE = frozenset({"Lambda", "__lambda__"})
_MOST_CONFIG_BYTES = 256 * 1024 * 1024


def load(path: Path, *, trust_code: bool) -> Any:
    """Loads a model; nothing that the file holds is executed unless it is trusted.

    Args:
      path: the file.
      trust_code: whether Lambda layers may run.

    Raises:
      ExportError: it is no `.keras` file, holds code that is not trusted, needs classes that it
        does not hold, or Keras cannot load it, such as one that a newer Keras wrote.
    """
    if not path.is_file():
        raise ExportError(f"{path}: no such file; expected a model saved by model.save()")
    if not zipfile.is_zipfile(path):
        raise ExportError(f"{path}: not a .keras file, or it was truncated")
    found = list(_objects(_json(path, _CONFIG), ""))
    code = [name for name, entry in found if entry.get("class_name") in _CODE]
    if code and not trust_code:
        raise ExportError(
            f"{path}: layer '{code[0]}' is a Lambda, so that the file holds Python code which "
            "loading it would run: replace it by a layer, or add --trust-code if you trust whoever "
            "made the file"
        )
    own = [entry for _, entry in found if _is_own(entry)]
    if own:
        raise ExportError(
            f"{path}: {own[0]['class_name']} is a class of its own, whose code the file does not "
            "hold: give package.module:function, a function that builds or loads the model"
        )
    try:
        with users_folder():
            return keras.models.load_model(path, safe_mode=not trust_code)
    except Exception as error:
        writer = _writer(path)
        if release(writer) > release(keras.__version__):
            raise ExportError(
                f"{path}: written by Keras {writer}, but Keras {keras.__version__} is installed, "
                f"which cannot load it: pip install 'keras>={writer}', or save the model with "
                f"Keras {keras.__version__} or older"
            ) from error
        raise ExportError(f"{path}: Keras cannot load it: {first_line(error)}") from error


def _writer(path: Path) -> str:
    """The version of Keras that wrote a file; empty where the file does not say."""
    try:
        found: Any = _json(path, _METADATA)
    except ExportError:
        return ""
    version: Any = (
        cast("dict[str, Any]", found).get("keras_version") if isinstance(found, dict) else ""
    )
    # It becomes part of a command that the user may type.
    return version if re.fullmatch(r"\d[0-9A-Za-z.]{0,30}", str(version)) else ""


def _json(path: Path, name: str) -> Any:
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.getinfo(name).file_size > _MOST_CONFIG_BYTES:
                raise ExportError(f"{path}: its {name} is larger than any model's")
            return json.loads(archive.read(name))
    except (zipfile.BadZipFile, KeyError, ValueError, RecursionError, RuntimeError) as error:
        raise ExportError(
            f"{path}: no readable {name} in it: not a .keras file, or damaged"
        ) from error


def _objects(config: Any, layer: str) -> Generator[tuple[str, dict[str, Any]]]:
    """Every object in a configuration, however deep, with the name of the layer it is of."""
    pending: list[tuple[str, Any]] = [(layer, config)]
    while pending:
        name, value = pending.pop()
        if isinstance(value, list):
            pending.extend((name, item) for item in cast("list[Any]", value))
        elif isinstance(value, dict):
            entry = cast("dict[str, Any]", value)
            inner = entry.get("config")
            if isinstance(inner, dict) and "class_name" in entry:
                own_name: Any = cast("dict[str, Any]", inner).get("name")
                name = own_name if isinstance(own_name, str) else name
            if "class_name" in entry:
                yield name, entry
            pending.extend((name, item) for item in entry.values())


def _is_own(entry: dict[str, Any]) -> bool:
    """Whether an object is of a class that neither Keras brings nor this process registered."""
    registered = entry.get("registered_name")
    # What was saved of a class of its own has its package and name, and no module of Keras.
    module = entry.get("module")
    is_keras = isinstance(module, str) and module.split(".")[0].startswith("keras")
    if "module" not in entry or is_keras or module == "builtins" or not registered:
        return False
    return keras.saving.get_registered_object(str(registered)) is None
