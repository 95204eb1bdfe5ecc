"""The cases of Keras' own layer tests: which layer, made how, called on what.

Keras' wheel ships its tests. Those of layers call `run_layer_test(Class, init_kwargs, input_shape,
…)`; here each test method runs with that call noted instead of carried out, and what else the
method asserts is of no interest.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import inspect
import io
import pkgutil
import sys
import unittest
import unittest.mock
import warnings
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import keras
import pytest
from keras.src import layers as keras_layers
from keras.src import testing

_CALL = "run_layer_test"
# What some test modules import and no case needs: another data loader, and Keras' own repository.
_ABSENT = ("grain", "conftest")


@dataclass(frozen=True)
class Case:
    """One call of `run_layer_test`.

    Attributes:
      name: module, class, method and number of the call, such as `core.dense_test/…/test_basics/0`.
      layer: the layer's class.
      arguments: all arguments by name, as `run_layer_test` declares them.
    """

    name: str
    layer: type[Any]
    arguments: dict[str, Any]


def modules() -> list[str]:
    """Dotted names of all test modules of layers."""
    found = pkgutil.walk_packages(keras_layers.__path__, f"{keras_layers.__name__}.")
    return sorted(info.name for info in found if info.name.endswith("_test"))


def collect(module: str) -> list[Case]:
    """The cases of a test module, in the order of its methods' names.

    Raises:
      ImportError: the module needs a package that is not installed.
    """
    with _stand_ins():
        loaded = importlib.import_module(module)
    cases: list[Case] = []
    for owner in vars(loaded).values():
        own = inspect.isclass(owner) and issubclass(owner, testing.TestCase)
        if own and owner.__module__ == module:
            for method in unittest.TestLoader().getTestCaseNames(owner):
                if _leads_to_call(owner, getattr(owner, method)):
                    cases += _calls(owner, method)
    return cases


def _calls(owner: Any, method: str) -> list[Case]:
    place = f"{owner.__module__.removeprefix(f'{keras_layers.__name__}.')}/{method}"
    signature = inspect.signature(testing.TestCase.run_layer_test)
    found: list[Case] = []

    def note(*positional: Any, **named: Any) -> None:
        arguments = signature.bind(None, *positional, **named).arguments
        layer = arguments.pop("layer_cls")
        found.append(Case(f"{place}/{len(found)}", layer, arguments))

    case = owner(method)
    setattr(case, _CALL, note)
    with _contained():
        case.setUp()
        getattr(case, method)()
    return found


def _leads_to_call(owner: Any, method: Any, deep: int = 3) -> bool:
    # Most methods check values and never call it; some train for seconds.
    code = getattr(inspect.unwrap(method), "__code__", None)
    if code is None:
        return False
    names = {name for part in _codes(code) for name in part.co_names}
    if _CALL in names:
        return True
    helpers = (vars(owner).get(name) for name in names if deep)
    return any(inspect.isfunction(h) and _leads_to_call(owner, h, deep - 1) for h in helpers)


def _codes(code: Any) -> Generator[Any]:
    yield code
    for constant in code.co_consts:
        if inspect.iscode(constant):
            yield from _codes(constant)


@contextlib.contextmanager
def _stand_ins() -> Generator[None]:
    missing = [name for name in _ABSENT if importlib.util.find_spec(name) is None]
    sys.modules.update({name: unittest.mock.MagicMock() for name in missing})
    try:
        yield
    finally:
        for name in missing:
            del sys.modules[name]


@contextlib.contextmanager
def _contained() -> Generator[None]:
    """Leaves Keras' settings as they were, and passes over what a method raises."""
    image_format = keras.config.image_data_format()
    policy = keras.config.dtype_policy()
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            # A failed assertion, a skip, or a call on what only a real run would have made.
            contextlib.suppress(Exception, pytest.skip.Exception),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        keras.config.set_image_data_format(image_format)
        keras.config.set_dtype_policy(policy)
