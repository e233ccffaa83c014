"""Maximum-likelihood parameter generation: the trajectory that agrees best with predicted values and slopes."""

import numpy as np
from scipy.linalg import solveh_banded
from scipy.sparse import diags_array, lil_array


def mlpg(means: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """means [T, 2D], D predicted values and their D predicted slopes (`np.gradient`), -> the trajectory [T, D] float32.

    x minimises |x - values|^2 / s^2 + |W x - slopes|^2 / s'^2 in every column, W the slopes of x (Tokuda et al. 2000).
    `scale` [2D] holds s and s': what is known of the errors is that they are alike in units of the training speech.
    """
    frames, columns = len(means), means.shape[1] // 2
    if frames < 2:
        return means[:, :columns].astype(np.float32)
    values, slopes = np.hsplit(means.astype(np.float64), 2)
    w = gradient(frames)
    square, ratio = (w.T @ w).tocsr(), (scale[:columns] / scale[columns:]) ** 2
    bands = np.zeros((3, frames))  # of the symmetric W'W, its diagonal first
    for k in range(min(3, frames)):
        bands[k, : frames - k] = square.diagonal(k)
    one = np.eye(3, 1)
    wanted = values + ratio * (w.T @ slopes)
    found = [solveh_banded(one + r * bands, y, lower=True) for r, y in zip(ratio, wanted.T, strict=True)]
    return np.stack(found, axis=1).astype(np.float32)


def gradient(frames: int) -> lil_array:
    """W [T, T] with W x = np.gradient(x): half the difference of the neighbours, at both ends the difference to one."""
    w = lil_array(diags_array([-0.5, 0.5], offsets=[-1, 1], shape=(frames, frames)))
    w[0, :2], w[-1, -2:] = (-1, 1), (-1, 1)
    return w
