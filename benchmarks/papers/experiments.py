"""The figures of the papers: what is compared, and what is claimed of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from papers.learning import Curve
from papers.systems import Known, Systems


@dataclass(frozen=True)
class Claim:
    """That one system is ahead of another, or not far behind, at the end.

    Attributes:
      text: what is claimed, and by whom.
      one: the system.
      other: with which it is compared.
      least: by how much it is ahead at least, a fraction; negative where it may be behind.
      same_computation: compare where both have spent as much on a device, not after as many rounds.
      calibrated: compare with the logits of both calibrated on the desk's samples.
    """

    text: str
    one: str
    other: str
    least: float
    same_computation: bool = False
    calibrated: bool = False


@dataclass(frozen=True)
class Experiment:
    """One figure.

    Attributes:
      title: of it.
      setting: in words.
      curves: (systems of a seed) → system → its curve.
      claims: of it.
    """

    title: str
    setting: str
    curves: Callable[[Systems], Mapping[str, Curve]]
    claims: tuple[Claim, ...] = ()


def around(classes: int, devices: int, held: int) -> Known:
    """Devices evenly around the circle of classes, each with the next ones."""
    starts = [round(i * classes / devices) for i in range(devices)]
    return tuple(tuple(sorted((s + i) % classes for i in range(held))) for s in starts)


def drawn(classes: int, devices: int, held: int, seed: int) -> Known:
    """Random classes for each device, drawn until every class has a holder."""
    rng = np.random.default_rng([seed, 3])
    while True:
        known = tuple(
            tuple(sorted(rng.permutation(classes)[:held].tolist())) for _ in range(devices)
        )
        if {c for own in known for c in own} == set(range(classes)):
            return known


def half(systems: Systems) -> int:
    """Classes of a device: five of ten."""
    return max(1, systems.start.task.classes // 2)


def _figure3(systems: Systems) -> dict[str, Curve]:
    known = around(systems.start.task.classes, 4, half(systems))
    return {
        "ring": systems.ring(known),
        "ring, features kept": systems.ring_kept(known),
        "central, decoupled": systems.central_decoupled(),
        "central": systems.central(),
    }


def _figure4(systems: Systems) -> dict[str, Curve]:
    classes = systems.start.task.classes
    parts = [round(classes * p) for p in (0.3, 0.5, 0.7, 1.0)]
    return {f"{n} of {classes}": systems.ring(around(classes, 4, n)) for n in parts}


def _topology(systems: Systems) -> dict[str, Curve]:
    known = around(systems.start.task.classes, 8, half(systems))
    return {"ring of 8": systems.ring(known), "mesh of 8": systems.mesh(known)}


def _figure5(systems: Systems) -> dict[str, Curve]:
    known = around(systems.start.task.classes, 4, half(systems))
    return {
        "central": systems.central(),
        "FedAvg": systems.federated_local(known),
        "ring": systems.ring(known),
        "ring, features kept": systems.ring_kept(known),
    }


def _cad(systems: Systems) -> dict[str, Curve]:
    classes = systems.start.task.classes
    known = drawn(classes, 6, half(systems), systems.start.seed)
    return {
        "decoupled": systems.mesh(known),
        "FedAvg": systems.federated(known),
        "FedAvg, local softmax": systems.federated_local(known),
    }


def _federated(systems: Systems) -> dict[str, Curve]:
    known = around(systems.start.task.classes, 4, half(systems))
    return {
        "ring": systems.ring(known),
        "ring, features kept": systems.ring_kept(known),
        "FedAvg": systems.federated(known),
        "FedAvg, local softmax": systems.federated_local(known),
    }


def _kept(systems: Systems) -> dict[str, Curve]:
    known = around(systems.start.task.classes, 4, half(systems))
    return {
        "ring, features kept": systems.ring_kept(known),
        "FedAvg": systems.federated(known),
        "central, decoupled": systems.central_decoupled(),
        "central": systems.central(),
    }


def _baselines(systems: Systems) -> dict[str, Curve]:
    known = around(systems.start.task.classes, 4, half(systems))
    return {
        "ring": systems.ring(known),
        "HeteroFL": systems.nested(known),
        "alone": systems.alone(known),
    }


_GOAL = "this project's aim: "
_KEPT_AND_FEDERATED = Claim(
    f"{_GOAL}with features kept, at the same computation at least 3 points ahead of FedAvg",
    "ring, features kept", "FedAvg", 0.03, same_computation=True,
)  # fmt: skip
_KEPT_AND_CENTRAL = (
    Claim(
        f"{_GOAL}with features kept within 2 points of the centrally trained decoupled model, "
        "whose shared layers train",
        "ring, features kept", "central, decoupled", -0.02,
    ),
    Claim(
        f"{_GOAL}with features kept within 4 points of central training",
        "ring, features kept", "central", -0.04,
    ),
    Claim(
        "with features kept within 2 points of the centrally trained decoupled model, where both "
        "are calibrated on the desk's samples",
        "ring, features kept", "central, decoupled", -0.02, calibrated=True,
    ),
)  # fmt: skip

EXPERIMENTS: dict[str, Experiment] = {
    "figure3": Experiment(
        "Chen & Qin, figure 3: a ring of four devices against central training",
        "Four devices with half of the classes each (4N_5Cls), neighbours share some; global and "
        "local accuracy by round.",
        _figure3,
        (
            Claim(
                "Chen & Qin: the ring reaches the accuracy of central training (here: no more than "
                "one point below)",
                "ring", "central", -0.01,
            ),
            Claim(
                f"{_GOAL}within 2 points of the centrally trained decoupled model",
                "ring", "central, decoupled", -0.02,
            ),
            Claim(
                "the same, where both are calibrated on the desk's samples",
                "ring", "central, decoupled", -0.02, calibrated=True,
            ),
            Claim(f"{_GOAL}within 4 points of central training", "ring", "central", -0.04),
            *_KEPT_AND_CENTRAL,
        ),
    ),
    "figure4": Experiment(
        "Chen & Qin, figure 4: how many classes neighbours share",
        "Four devices on a ring with 3, 5, 7 and 10 classes of 10 each.",
        _figure4,
        (
            Claim(
                "Chen & Qin: more overlap between neighbours helps the global model",
                "5 of 10", "3 of 10", 0.0,
            ),
        ),
    ),
    "topology": Experiment(
        "Ring against mesh",
        "Eight devices with half of the classes each, the same deal of samples.",
        _topology,
        (
            Claim(
                "a ring is no more than one point behind a mesh", "ring of 8", "mesh of 8", -0.01
            ),
        ),
    ),
    "figure5": Experiment(
        "Chen & Qin, figure 5: computation of a device, averaging included",
        "Products of a round's training and of its average on one device.",
        _figure5,
    ),
    "cad": Experiment(
        "CAD: convergence against federated learning",
        "Six devices with random halves of the classes, every device averages with all.",
        _cad,
        (
            Claim(
                "CAD: sub-models of the classes at hand converge faster than federated learning of "
                "the whole model", "decoupled", "FedAvg", 0.0,
            ),
            Claim(
                "the same against a softmax over local classes",
                "decoupled", "FedAvg, local softmax", 0.0,
            ),
        ),
    ),
    "federated": Experiment(
        "A ring of sub-models against federated averaging",
        "Four devices with half of the classes each; all from the same trained network.",
        _federated,
        (
            Claim(
                f"{_GOAL}at the same computation at least 3 points ahead of FedAvg",
                "ring", "FedAvg", 0.03, same_computation=True,
            ),
            Claim(
                "the same against a softmax over local classes",
                "ring", "FedAvg, local softmax", 0.03, same_computation=True,
            ),
            _KEPT_AND_FEDERATED,
            Claim(
                "the same against a softmax over local classes",
                "ring, features kept", "FedAvg, local softmax", 0.03, same_computation=True,
            ),
        ),
    ),
    "kept": Experiment(
        "A ring that keeps features, against federated averaging and central training",
        "Four devices with half of the classes each; all from the same trained network.",
        _kept,
        (_KEPT_AND_FEDERATED, *_KEPT_AND_CENTRAL),
    ),
    "baselines": Experiment(
        "Other baselines",
        "Four devices with half of the classes each; all from the same trained network.",
        _baselines,
        (
            Claim(
                "at the same computation ahead of nested widths",
                "ring", "HeteroFL", 0.0, same_computation=True,
            ),
            Claim("devices that gossip are ahead of devices alone", "ring", "alone", 0.0),
        ),
    ),
}  # fmt: skip
