"""What to do about a layer that cannot be lowered: one thing, by its kind or by the operation.

A list of what does have a rule helps nobody who has a `RandomRotation`: it is to be applied to the
data. The layer's class decides first, then those that it is derived from and the layers around it,
then the operation.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

_IMAGES = (
    "it prepares or augments images: apply it to the data before training, or leave it out of the "
    "exported model"
)
_DATA = "it prepares data: apply it before training, and make its result the model's input"
_SPECTRA = "compute the spectra before training, and make them the model's input"
_NOISE = "use Dropout in its place, or leave it out of the exported model"
_PLANES = "use layers of two spatial dimensions, applied to each plane"
_ATTENTION = "give it an input of shape (batch, steps, features), and attend over the steps alone"
_QUANTIZED = "its weights are quantized: export the model as it was before quantize()"
_LOOP = "write a loop out over a number of steps that is known at export, and a choice as ops.where"
_CHOICE = "it chooses by value: do it outside of the model, with what infer returns"
_CUMULATIVE = "write it as a product with a triangular matrix"
_SOLVER = "compute it outside of the model, where it depends on no weight that trains"

OTHERWISE = (
    "replace it by layers of products, convolutions, pooling and elementwise arithmetic, or do its "
    "work outside of the model"
)

# Class of a layer, or a class that it is derived from → what to do.
LAYERS = MappingProxyType(
    {
        "BaseImagePreprocessingLayer": _IMAGES,
        "Pipeline": _IMAGES,
        "DataLayer": _DATA,
        "Discretization": _DATA,
        "HashedCrossing": _DATA,
        "Hashing": _DATA,
        "IndexLookup": _DATA,
        "TextVectorization": _DATA,
        "MelSpectrogram": _SPECTRA,
        "STFTSpectrogram": _SPECTRA,
        "AlphaDropout": _NOISE,
        "GaussianDropout": _NOISE,
        "GaussianNoise": _NOISE,
        "GroupedQueryAttention": _ATTENTION,
        "MultiHeadAttention": _ATTENTION,
        "ConvLSTM": "stack the frames as channels of one image, and use Conv2D",
        "SpectralNormalization": "take the layer that it wraps alone, with a constraint",
        **{
            f"{name}3D": _PLANES
            for name in (
                "AveragePooling",
                "Conv",
                "Cropping",
                "GlobalAveragePooling",
                "GlobalMaxPooling",
                "MaxPooling",
                "SpatialDropout",
                "UpSampling",
                "ZeroPadding",
            )
        },
        "Conv3DTranspose": _PLANES,
    }
)

_OPERATIONS = MappingProxyType(
    {
        **dict.fromkeys(("BatchMatMulV3", "Dequantize", "QuantizeV2"), _QUANTIZED),
        **dict.fromkeys(("FFT", "FFT2D", "IFFT", "IFFT2D", "IRFFT", "RFFT", "RFFT2D"), _SPECTRA),
        **dict.fromkeys(("Case", "If", "StatelessIf", "StatelessWhile", "While"), _LOOP),
        **dict.fromkeys(
            ("ArgMax", "ArgMin", "NonMaxSuppressionV5", "TopKV2", "UniqueV2", "Where"), _CHOICE
        ),
        **dict.fromkeys(("RandomStandardNormal", "StatelessRandomNormalV2"), _NOISE),
        **dict.fromkeys(("Cumsum",), _CUMULATIVE),
        **dict.fromkeys(
            ("Cholesky", "MatrixDeterminant", "MatrixInverse", "MatrixSolve", "Qr", "Svd"), _SOLVER
        ),
    }
)


def advice(kinds: Sequence[str], operations: Sequence[str], otherwise: str = OTHERWISE) -> str:
    """One thing to do about a layer.

    Args:
      kinds: its class, those that it is derived from, and likewise the layers around it.
      operations: types of its operations that cannot be lowered.
      otherwise: what to do where neither is known.
    """
    by_kind = (LAYERS[kind] for kind in kinds if kind in LAYERS)
    by_operation = (_OPERATIONS[name] for name in operations if name in _OPERATIONS)
    return next(by_kind, None) or next(by_operation, None) or otherwise
