"""Every field of `tfplus.json` is checked before anyone relies on it."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfplus.errors import ArtifactError
from tfplus.model_file.artifact import Artifact
from tfplus.model_file.companion_graphs import FeatureGraph
from tfplus.model_file.manifest import SCHEMA_VERSION, Manifest, TensorInfo
from tfplus.model_file.manifest_reader import from_json
from tfplus.model_file.preprocessing import InputRange, Preprocessing
from tfplus.wire.limits import Limits

JUNK = [None, True, -1, 1.5, "x", [], {}, [None], {"a": 1}, 10**400, float("nan"), [[]]]


def as_dict(manifest: Manifest) -> dict[str, Any]:
    return json.loads(manifest.to_json())


def paths(raw: Any, prefix: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths of every value within a JSON document."""
    items = raw.items() if isinstance(raw, dict) else enumerate(raw)
    found: list[tuple[Any, ...]] = []
    for key, value in items:
        found.append((*prefix, key))
        if isinstance(value, (dict, list)):
            found += paths(value, (*prefix, key))
    return found


def put(raw: Any, path: tuple[Any, ...], value: Any) -> None:
    for key in path[:-1]:
        raw = raw[key]
    raw[path[-1]] = value


def test_round_trip(toy: Artifact) -> None:
    assert from_json(toy.manifest.to_json()) == toy.manifest


def test_unknown_fields_are_passed_over(toy: Artifact) -> None:
    raw = as_dict(toy.manifest) | {"added_later": [1, 2]}
    assert from_json(json.dumps(raw)) == toy.manifest


def test_weights_whose_gradient_is_rounding_alone_are_named_for_an_accelerator(
    toy: Artifact,
) -> None:
    entry = {"accelerator": "gpu", "size_bytes": 1, "sha256": "a", "checked_by": "b"}

    def rounding(**fields: Any) -> frozenset[str]:
        raw = as_dict(toy.manifest) | {"accelerated": [entry | fields]}
        return from_json(json.dumps(raw)).rounding("gpu")

    assert rounding(rounding=["shared/a/bias"]) == {"shared/a/bias"}
    assert rounding(rounding=[]) == frozenset()
    assert toy.manifest.rounding("gpu") == frozenset()
    with pytest.raises(ArtifactError, match=r"accelerated\[0\].rounding: expected a list of texts"):
        rounding(rounding=[1])


PLACE = {"name": "a", "offset": 8, "shape": [2, 3], "order": [1, 0]}


def with_inference(toy: Artifact, *places: Any, size_bytes: int = 100) -> str:
    entry = {"size_bytes": size_bytes, "sha256": "a", "constants_sha256": "b", "constants": places}
    return json.dumps(as_dict(toy.manifest) | {"inference": [entry]})


def test_constants_of_inference_lie_apart_within_its_graph(toy: Artifact) -> None:
    (entry,) = from_json(with_inference(toy, PLACE, PLACE | {"offset": 32})).inference
    assert [(c.offset, c.size_bytes, c.order) for c in entry.constants] == [
        (8, 24, (1, 0)),
        (32, 24, (1, 0)),
    ]


@pytest.mark.parametrize(
    ("changes", "size_bytes", "message"),
    [
        ({"offset": 31}, 100, "places apart"),
        ({"offset": 77}, 100, "within the graph"),
        ({"order": [0, 0]}, 100, "an order of 2 axes"),
        ({"order": [0]}, 100, "an order of 2 axes"),
        ({"offset": 32}, 2**40, "size_bytes: expected at most"),
    ],
)
def test_constants_of_inference_elsewhere_are_refused(
    toy: Artifact, changes: dict[str, Any], size_bytes: int, message: str
) -> None:
    text = with_inference(toy, PLACE, PLACE | {"offset": 32} | changes, size_bytes=size_bytes)
    with pytest.raises(ArtifactError, match=message):
        from_json(text)


def test_weights_are_what_devices_exchange(toy: Artifact) -> None:
    assert [v.name for v in toy.manifest.weights] == [
        "shared/dense/kernel",
        "shared/dense/bias",
        "task/7/dense/kernel",
    ]
    assert "optimizer/learning_rate" in toy.manifest.expected()
    assert "optimizer/learning_rate" not in toy.manifest.expected(weights_only=True)


def test_each_field_missing_is_named(toy: Artifact) -> None:
    for field in as_dict(toy.manifest).keys() - {"regularization", "features"}:
        raw = as_dict(toy.manifest)
        del raw[field]
        with pytest.raises(ArtifactError, match=f"{field} is missing"):
            from_json(json.dumps(raw))


def with_features(manifest: Manifest) -> Manifest:
    taken = manifest.signatures["infer"].inputs["x"]
    feature = TensorInfo(taken.shape[1:], taken.dtype)
    graph = FeatureGraph("conv", "x", TensorInfo((8, 8, 1), "int32"), feature, 16, 99, "ab")
    return dataclasses.replace(manifest, features=(graph,))


def test_features_must_be_what_the_file_takes(toy: Artifact) -> None:
    manifest = with_features(toy.manifest)
    assert from_json(manifest.to_json()) == manifest
    raw = as_dict(toy.manifest)
    del raw["features"]  # as an earlier tfplus wrote it
    assert from_json(json.dumps(raw)) == toy.manifest
    for field, value in (
        ("input", "z"),
        ("batch_size", 0),
        ("batch_size", 1 << 40),
        ("feature", {"shape": [5], "dtype": "float32"}),
        ("sample", {"shape": [8], "dtype": "text"}),
        ("size_bytes", 1 << 60),
    ):
        raw = as_dict(manifest)
        raw["features"][0][field] = value
        with pytest.raises(ArtifactError, match="features"):
            from_json(json.dumps(raw))


@pytest.mark.parametrize("junk", JUNK, ids=repr)
def test_junk_anywhere_is_refused_or_harmless(toy: Artifact, junk: Any) -> None:
    for path in paths(as_dict(toy.manifest)):
        raw = as_dict(toy.manifest)
        put(raw, path, junk)
        try:
            found = from_json(json.dumps(raw))
        except ArtifactError as error:
            assert "tfplus.json" in str(error)
            assert len(str(error)) < 400
        else:
            # What was let through has the types it promises: it survives another round trip,
            # but for NaN inside the free-form fields.
            if junk == junk:
                assert from_json(found.to_json()) == found
            for variable in found.variables:
                assert variable.size_bytes >= 0


EXPECTED = InputRange("x", "sample", -1.0, 2.5, 0.1, 0.5, "uint8")


def test_what_is_declared_of_inputs_is_read_back(toy: Artifact) -> None:
    declared = Preprocessing(1 / 255, -0.5, True, (EXPECTED, InputRange("x", "scale", 0.0, 1.0)))
    manifest = dataclasses.replace(toy.manifest, preprocessing=declared, regularization=0.25)
    assert from_json(manifest.to_json()) == manifest
    # Files from before say less.


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"low": 3.0}, r"expects\[0\]\.high: expected at least 3, got 2\.5"),
        ({"low": 1e39}, r"low: expected a number that float32 holds"),
        ({"source": "rumour"}, r"source: expected one of"),
        ({"std": "wide"}, r"std: expected a number"),
        ({"dtype": 1}, r"dtype: expected a text"),
    ],
)
def test_ranges_of_a_wrong_form(toy: Artifact, change: dict[str, Any], message: str) -> None:
    raw = as_dict(toy.manifest)
    raw["preprocessing"]["expects"] = [dataclasses.asdict(EXPECTED) | change]
    with pytest.raises(ArtifactError, match=message):
        from_json(json.dumps(raw))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema_version": SCHEMA_VERSION + 1}, "newer"),
        ({"schema_version": 1}, "older than 3.*export the model again"),
        ({"schema_version": 0}, "schema_version"),
        ({"schema_version": "1"}, "schema_version"),
        ({"batch_size": 0}, "batch_size: expected an integer of at least 1, got 0"),
        ({"batch_size": True}, "batch_size"),
        ({"classes": [1, 2, 3]}, "classes: expected 2 labels of one output"),
        ({"classes": [3, 3]}, "distinct"),
        ({"classes": ["3"]}, "classes"),
        ({"classes": [2**70]}, "classes: expected integers from"),
        ({"outputs": []}, "at least one input and one output"),
        ({"infer_batch_size": 5}, "input 'x' of both batch sizes"),
        ({"preprocessing": {"scale": "1", "offset": 0}}, r"preprocessing\.scale"),
        ({"preprocessing": {"scale": 1e300, "offset": 0}}, r"scale: .*that float32 holds"),
        ({"regularization": "none"}, "regularization: expected a number"),
        ({"optimizer": {"name": "adam"}}, r"optimizer\.learning_rate is missing"),
        ({"optimizer": {"name": 1, "learning_rate": 0.1}}, r"optimizer\.name: expected a text"),
        (
            {"optimizer": {"name": "adam", "learning_rate": 0.1, "beta_1": {}}},
            r"optimizer\.beta_1: expected a number, a text, true, false or a list of texts",
        ),
        (
            {"optimizer": {"name": "sgd", "learning_rate": 0.1, "undecayed": [1]}},
            r"optimizer\.undecayed: expected a list of texts",
        ),
        ({"signatures": {"train": {"inputs": {}}}}, r"signatures\.train\.outputs"),
        (
            {"signatures": {"a": {"inputs": {"x": {"shape": [2**40], "dtype": "int8"}}}}},
            r"a\.inputs\.x\.shape: expected at most 536870912 bytes",
        ),
    ],
)
def test_wrong_values_are_named(toy: Artifact, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ArtifactError, match=message):
        from_json(json.dumps(as_dict(toy.manifest) | change))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dtype": "object"}, r"variables\[0\]\.dtype"),
        ({"dtype": "O"}, "dtype"),
        ({"role": "anything"}, "role"),
        ({"name": "shared/dense/bias"}, "distinct names"),
        ({"name": "a\nb"}, "printable"),
        ({"name": "x" * 300}, "name"),
        ({"shape": [1] * 9}, "dimensions"),
        ({"shape": [2**40]}, "bytes"),
        ({"offset": 1.0}, "offset"),
    ],
)
def test_wrong_variables_are_named(toy: Artifact, change: dict[str, Any], message: str) -> None:
    raw = as_dict(toy.manifest)
    raw["variables"][0] |= change
    with pytest.raises(ArtifactError, match=message):
        from_json(json.dumps(raw))


def test_too_many_variables(toy: Artifact) -> None:
    with pytest.raises(ArtifactError, match="at most 3"):
        from_json(toy.manifest.to_json(), Limits(tensors=3))


@pytest.mark.parametrize("text", ["", "nul", "[]", "1", '"x"', "[" * 200_000, "9" * 5000])
def test_no_object(text: str) -> None:
    with pytest.raises(ArtifactError, match=r"tfplus\.json"):
        from_json(text)


@given(st.text())
def test_any_text_is_refused_cleanly(text: str) -> None:
    with pytest.raises(ArtifactError):
        from_json(text)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"targets": "color"}, r"outputs\[0\]\.targets: expected one of"),
        ({"kind": "odds"}, r"outputs\[0\]\.kind: expected one of"),
        ({"padding": float("inf")}, r"outputs\[0\]\.padding"),
        ({"name": "other"}, "names of tensors of the signatures"),
        ({"logits": "other"}, "names of tensors of the signatures"),
        ({"metric": "mae"}, "names of tensors of the signatures"),
        ({"target": "z"}, "input 'z' as"),
        ({"targets": "value"}, "input 'y' as"),
    ],
)
def test_outputs_that_do_not_fit_the_signatures(
    toy: Artifact, change: dict[str, Any], message: str
) -> None:
    raw = as_dict(toy.manifest)
    raw["outputs"][0] |= change
    with pytest.raises(ArtifactError, match=message):
        from_json(json.dumps(raw))
