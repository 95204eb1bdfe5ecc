"""Optimizers: one update rule a file, what Keras puts around any of them, and how one is chosen."""

from tfplus_export.optimizers.adam import Adam
from tfplus_export.optimizers.adjusted import Adjusted
from tfplus_export.optimizers.base import LEARNING_RATE, Optimizer
from tfplus_export.optimizers.clipping import Clip
from tfplus_export.optimizers.rmsprop import RmsProp
from tfplus_export.optimizers.sgd import Sgd

__all__ = ["LEARNING_RATE", "Adam", "Adjusted", "Clip", "Optimizer", "RmsProp", "Sgd"]
