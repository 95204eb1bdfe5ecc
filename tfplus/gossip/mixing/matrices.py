"""Mixing matrices and how fast they agree: the closed forms that a run is compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]


def metropolis_matrix(graph: Mapping[str, Sequence[str]]) -> Matrix:
    """Metropolis weights of a graph: float64 [n, n], symmetric and doubly stochastic.

    Args:
      graph: name → neighbours, symmetric; rows and columns are in its order.
    """
    index = {name: i for i, name in enumerate(graph)}
    matrix = np.zeros((len(index), len(index)))
    for name, near in graph.items():
        for other in near:
            matrix[index[name], index[other]] = 1 / (1 + max(len(near), len(graph[other])))
    np.fill_diagonal(matrix, 1 - matrix.sum(axis=1))
    return matrix


def uniform_matrix(graph: Mapping[str, Sequence[str]]) -> Matrix:
    """Equal weights of a node and its neighbours: float64 [n, n], rows sum to 1."""
    index = {name: i for i, name in enumerate(graph)}
    matrix = np.eye(len(index))
    for name, near in graph.items():
        matrix[index[name], [index[other] for other in near]] = 1
    return matrix / matrix.sum(axis=1, keepdims=True)


def consensus_rate(matrix: Matrix) -> float:
    """By what factor a round shrinks the distance from agreement, in the long run.

    The second largest modulus of an eigenvalue of a matrix whose rows sum to 1; 0 for one node.

    Source: Xiao, Boyd, "Fast linear iterations for distributed averaging", 2004: "the asymptotic
    convergence factor" is the spectral radius of W − 11ᵀ/n.
    """
    symmetric = np.array_equal(matrix, matrix.T)
    values = np.linalg.eigvalsh(matrix) if symmetric else np.linalg.eigvals(matrix)
    moduli = np.sort(np.abs(values))
    return float(moduli[-2]) if len(moduli) > 1 else 0.0


def spectral_gap(matrix: Matrix) -> float:
    """1 − `consensus_rate`."""
    return 1 - consensus_rate(matrix)
