"""What came of a run: from the agents' events and weights, after its end."""

from __future__ import annotations

import statistics
import time
from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt

from churn.fleet import Fleet
from churn.poisoned import LIAR
from tfplus.errors import TfplusError
from tfplus.proto.v1 import agent_pb2 as pb
from tfplus.tensors.slices import Contribution, average

# After the clock has finished.
REST_S = 300.0


def gathered(fleet: Fleet, names: list[str]) -> dict[str, Any]:
    """What came of the run on those who are left; the first ends with the recomposed model."""
    accuracy: dict[str, float] = {}
    brought: list[Contribution] = []
    course: dict[str, list[str]] = {}
    unfinished: dict[str, str] = {}
    twice, of_liar, news, refused, late = 0, 0, Counter[str](), 0, 0
    for name in names:
        events = events_of(fleet, name)
        end = events[-1] if events else pb.GossipEvent()
        if end.state != pb.GossipEvent.FINISHED:
            unfinished[name] = end.error or "it has not ended"
            continue
        rounds = [e for e in events if e.state == pb.GossipEvent.ROUND_DONE]
        counted = Counter((one.peer, one.round) for e in rounds for one in e.counted)
        twice += sum(times - 1 for times in counted.values())
        of_liar += sum(times for (peer, _), times in counted.items() if peer == LIAR)
        refused += sum("NaN" in e.error for e in rounds)
        for event in rounds:
            for text in event.member_news:
                news[kind_of(text)] += 1
        # What was taken over at the end is of no round.
        evaluated = end if end.eval_metrics else rounds[-1]
        accuracy[name] = evaluated.eval_metrics["accuracy"]
        late += bool(end.error)
        course[name] = [
            f"{e.round} with {' '.join(e.responders) or 'nobody'}: {e.eval_metrics['accuracy']:.1%}"
            for e in rounds
        ]
        with fleet.client(name) as client:
            brought.append(Contribution(client.weights(), dict(end.slice_weights)))
    weights = [vector(one) for one in brought]
    mean = np.mean(weights, axis=0)
    apart = [float(np.linalg.norm(w - mean) / np.linalg.norm(mean)) for w in weights]
    return {
        "finished": len(accuracy),
        "of": len(names),
        "unfinished": unfinished,
        "late": late,
        "recomposed": recomposed(fleet, names[0], brought),
        "accuracy": statistics.mean(accuracy.values()),
        "accuracy_least": min(accuracy.values()),
        "apart_most": max(apart),
        "counted_twice": twice,
        "counted_of_liar": of_liar,
        "rounds_with_nan_refused": refused,
        "news": dict(news),
        "course": course,
    }


def vector(brought: Contribution) -> npt.NDArray[np.float64]:
    """All weights of one agent, one after the other."""
    parts = [brought.tensors[name].ravel() for name in sorted(brought.tensors)]
    return np.concatenate([part.astype(np.float64) for part in parts])


def recomposed(fleet: Fleet, judge: str, brought: list[Contribution]) -> float:
    """Accuracy of the average of what agents ended with, as `tfplus gossip` makes it."""
    with fleet.client(judge) as client:
        client.set_weights(average(brought))
        return client.evaluate().metrics["accuracy"]


def kind_of(news: str) -> str:
    """What news is about, without names."""
    return news.partition("' ")[2] if news.startswith("'") else news.partition(" with")[0]


def events_of(fleet: Fleet, name: str) -> list[pb.GossipEvent]:
    """All events of an agent, once its run has ended there; what there is where it does not."""
    until = time.monotonic() + REST_S
    while True:
        events: list[pb.GossipEvent] = []
        try:
            with fleet.client(name) as client:
                for event in client.watch_gossip("run"):
                    events.append(event)
                    if event.state != pb.GossipEvent.ROUND_DONE:
                        return events
        except TfplusError:
            # It is being started again.
            pass
        if time.monotonic() > until:
            return events
        time.sleep(0.5)


def text_of(found: dict[str, Any]) -> str:
    """A table, and what happened."""
    lines = [
        "| run | finished | recomposed | accuracy, mean / least | weights apart, at most "
        "| after the others | counted twice |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in ("undisturbed", "churned"):
        one = found[name]
        lines.append(
            f"| {name} | {one['finished']} of {one['of']} | {one['recomposed']:.2%} | "
            f"{one['accuracy']:.2%} / {one['accuracy_least']:.2%} | {one['apart_most']:.4f} | "
            f"{one['late']} | {one['counted_twice']} |"
        )
    churned = found["churned"]
    lines.append("")
    lines.append("; ".join(churned["happened"]))
    lines.append(
        f"The liar sent NaN {churned['nan_sent']} times and said {churned['lies']} times that "
        f"somebody is dead; of it {churned['counted_of_liar']} contributions were counted."
    )
    lines.append("; ".join(f"{text}: {times}" for text, times in churned["news"].items()))
    for name, why in churned["unfinished"].items():
        lines.append(f"{name} did not finish: {why}")
    return "\n".join(lines)
