"""How much of an image can be made of its features again, by an attacker who knows the model.

usage: python benchmarks/features/reconstruction.py [--points NAME ...] [--noise 0 0.05 0.2 1]
                                                    [--epochs 60] [--seeds 3] [--json] [--write]

The images are scikit-learn's digits, 8 × 8. Half of them are public: on these the network of
`tfplus demo handwriting` is trained, and so is an inverter for each freeze point, a small Keras
decoder from features to images. The other half are users' images: their features are clipped to the
median norm of the public ones, get the noise of `tfplus features flush --clip --noise`, and the
inverter makes images of them. It was trained on features with the same clipping and fresh noise of
the same deviation. It is one decoder, trained for a while: what it makes can be had at least.

Two baselines know no features: the mean of all public images, and the mean of those with the user's
label, which a server is sent, too. Against the user's image: PSNR and SSIM, means over images;
`found`: how often, of all users' images, the true one is the nearest to what was made (2-norm).
`head`: how many labels a head is right about that learned from public features with such noise.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import numpy.typing as npt

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / p) for p in ("", "export", "device_agent", "benchmarks")]

from support.documents import insert  # noqa: E402

Images = npt.NDArray[np.float32]
SIZE, CLASSES, BATCH, AT_ONCE = 8, 10, 64, 15
POINTS = ("backbone_pool1", "backbone_pool2", "head_dense", "head_logits")
WINDOW, COPIES = 7, 10
DOCUMENT, NAME = ROOT / "docs" / "fedex.md", "features/reconstruction"
HEAD = (
    "| features | numbers | noise | epsilon | PSNR, dB | SSIM | found | head |\n"
    "|---|---|---|---|---|---|---|---|"
)


def halves(seed: int) -> tuple[tuple[Images, Images], tuple[npt.NDArray[Any], npt.NDArray[Any]]]:
    """Public and users' images [n, 8, 8, 1] in 0 to 1, and the labels of both."""
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(pixels))
    images = (pixels / 16).astype(np.float32).reshape(-1, SIZE, SIZE, 1)[order]
    middle = len(images) // 2
    return (images[:middle], images[middle:]), (labels[order][:middle], labels[order][middle:])


def found(made: Images, true: Images) -> float:
    """How often the image of the same place is the nearest to what was made; 0 to 1."""
    a, b = (each.reshape(len(each), -1).astype(np.float64) for each in (made, true))
    distances = (a**2).sum(1)[:, None] - 2 * a @ b.T + (b**2).sum(1)
    return float((distances.argmin(1) == np.arange(len(b))).mean())


def likeness(made: Images, true: Images) -> dict[str, float]:
    """What the table says of images against the true ones."""
    import tensorflow as tf

    made = np.clip(made, 0, 1).astype(np.float32)
    return {
        "psnr_db": float(np.mean(tf.image.psnr(made, true, 1.0))),
        "ssim": float(np.mean(tf.image.ssim(made, true, 1.0, filter_size=WINDOW))),
        "found": found(made, true),
    }


def network(images: Images, labels: npt.NDArray[Any], epochs: int) -> Any:
    """The network, trained on the public half."""
    import keras

    from tfplus_export.zoo import handwriting

    model = handwriting.build((SIZE, SIZE, 1), range(CLASSES))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    model.fit(images, labels, BATCH, epochs, verbose=0)
    return model


def inverted(public: Images, images: Images, users: Images, epochs: int) -> Images:
    """What a decoder that was trained on public features makes of users' features."""
    import keras
    from keras import layers

    half = SIZE // 2
    decoder = keras.Sequential(
        [
            keras.Input(public.shape[1:]),
            layers.Flatten(),
            layers.Dense(256, activation="relu"),
            layers.Dense(half * half * 32, activation="relu"),
            layers.Reshape((half, half, 32)),
            layers.Conv2DTranspose(32, 3, strides=2, padding="same", activation="relu"),
            layers.Conv2D(1, 3, padding="same", activation="sigmoid"),
        ]
    )
    decoder.compile("adam", "mse", steps_per_execution=AT_ONCE)
    decoder.fit(public, images, BATCH, epochs, verbose=0)
    return decoder.predict(users, verbose=0)


def head(public: Images, labels: npt.NDArray[Any], users: Images, truth: Any, epochs: int) -> float:
    """The accuracy of a head on users' features, 0 to 1."""
    import keras
    from keras import layers

    model = keras.Sequential(
        [
            keras.Input(public.shape[1:]),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dense(CLASSES),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, steps_per_execution=AT_ONCE)
    model.fit(public, labels, BATCH, epochs, verbose=0)
    return float((model.predict(users, verbose=0).argmax(1) == truth).mean())


def measured(points: Sequence[str], noises: Sequence[float], epochs: int, seed: int) -> list[Any]:
    """The rows of one seed, baselines first."""
    import keras

    from tfplus.features.sendings import Sending
    from tfplus_agent.features import accounting, noising

    keras.utils.set_random_seed(seed)
    (public, users), (labels, truth) = halves(seed)
    by_label = np.stack([public[labels == label].mean(0) for label in range(CLASSES)])
    mean = np.broadcast_to(public.mean(0), users.shape)
    rows: list[Any] = [
        {"point": "none: the mean image", **likeness(mean, users)},
        {"point": "none: the label's mean image", **likeness(by_label[truth], users)},
    ]
    model = network(public, labels, epochs)
    for point in points:
        until = keras.Model(model.inputs, model.get_layer(point).output)
        features = [until.predict(half, verbose=0) for half in (public, users)]
        clip = float(np.median(np.linalg.norm(features[0].reshape(len(public), -1), axis=1)))
        for noise in (None, *noises):
            rng = np.random.default_rng(seed)
            change = noising.of(clip if noise else None, noise, rng)
            # An attacker knows the public features, and draws noise on them as often as it helps.
            copies = COPIES if noise else 1
            fresh = np.concatenate([change.apply(features[0]) for _ in range(copies)])
            sent = [change.apply(half) for half in features]
            # Numbers of about 1, as a decoder takes them best.
            unit = clip / np.sqrt(features[0][0].size)
            again = np.concatenate([public] * copies)
            made = inverted(fresh / unit, again, sent[1] / unit, epochs // copies)
            rows.append(
                {
                    "point": point,
                    "numbers": int(np.prod(features[0].shape[1:])),
                    "noise": noise,
                    "epsilon": noise and accounting.of_features([Sending(change.multiplier)]),
                    **likeness(made, users),
                    "head": head(sent[0] / unit, labels, sent[1] / unit, truth, epochs),
                }
            )
            print(f"seed {seed}: {rows[-1]}", file=sys.stderr, flush=True)
    return rows


def together(seeds: Sequence[list[Any]]) -> list[Any]:
    """Means over seeds, row by row."""
    keys = ("psnr_db", "ssim", "found", "head")
    return [
        rows[0] | {k: float(np.mean([row[k] for row in rows])) for k in keys if k in rows[0]}
        for rows in zip(*seeds, strict=True)
    ]


def table(rows: Sequence[Any]) -> str:
    """The rows in Markdown."""
    lines = [HEAD]
    for row in rows:
        noise, epsilon = row.get("noise"), row.get("epsilon")
        about = "| | | |" if "numbers" not in row else (
            f"| {row['numbers']} | {'none' if noise is None else f'{noise:g}'} "
            f"| {'' if epsilon is None else f'{epsilon:.3g}'} |"
        )  # fmt: skip
        name = row["point"] if "numbers" not in row else f"`{row['point']}`"
        right = f"{row['head']:.1%}" if "head" in row else ""
        lines.append(
            f"| {name} {about} {row['psnr_db']:.1f} | {row['ssim']:.2f} | {row['found']:.1%} "
            f"|{right and f' {right}'} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measures; prints a table, or writes it into the document."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--points", nargs="+", choices=POINTS, default=POINTS)
    parser.add_argument("--noise", type=float, nargs="*", default=[0.05, 0.2, 1.0])
    parser.add_argument("--epochs", type=int, default=60, help="of everything; at least 10")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="the rows as JSON")
    parser.add_argument("--write", action="store_true", help="the table into docs/fedex.md")
    options = parser.parse_args()
    every = [
        measured(options.points, options.noise, options.epochs, s) for s in range(options.seeds)
    ]
    rows = together(every)
    if options.write:
        about = f"Seeds: {options.seeds}; epochs: {options.epochs}."
        text = DOCUMENT.read_text("utf-8")
        DOCUMENT.write_text(insert(text, f"{about}\n\n{table(rows)}", NAME), "utf-8")
    print(json.dumps(rows, indent=2) if options.json else table(rows))


if __name__ == "__main__":
    main()
