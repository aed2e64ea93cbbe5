"""The low-level fingerprint of an image: statistics of colour, frequencies, noise and texture, in plain NumPy.

In: pixels uint8 [h, w, 3]. Out: float32 [SIZE]. A generator is told by how its decoder spreads energy over
frequencies and how neighbouring pixels depend on each other, more than by what it draws; these are the classical
descriptors of image forensics: DCT energies, moments of a Haar pyramid, the power spectrum, co-occurrences of
quantised residuals (Fridrich & Kodovský 2012), local binary patterns (Ojala et al. 2002).
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

TO_YCC = np.array([[0.299, 0.587, 0.114], [-0.1687, -0.3313, 0.5], [0.5, -0.4187, -0.0813]], np.float32)
LEVELS = 5
"""Of the Haar pyramid; the smallest image that is read keeps one pixel at the last."""
RINGS, ANGLES = 24, 4
RESIDUALS = ((1, 2.0), (2, 4.0))
"""Distance in pixels, and the step by which the residual is quantised."""


def fingerprint(pixels: Pixels) -> Floats:
    """All statistics of one image, at least 32 pixels a side: float32 [SIZE]."""
    rgb = pixels.astype(np.float32) / np.float32(255)
    ycc = np.moveaxis(rgb @ TO_YCC.T, -1, 0)
    luma = ycc[0]
    parts = [
        ycc.mean((1, 2)),
        np.log(ycc.std((1, 2)) + np.float32(1e-4)),
        _dct(ycc),
        _pyramid(ycc),
        _spectrum(luma),
        _histograms(rgb, ycc),
        *(_residuals(luma * np.float32(255), distance, step) for distance, step in RESIDUALS),
        *(_patterns(luma * np.float32(255), distance) for distance in (1, 2)),
    ]
    return np.concatenate([part.ravel() for part in parts]).astype(np.float32)


def _dct(ycc: Floats) -> Floats:
    """Of 8 × 8 blocks: log mean |coefficient| of each channel, and how peaked those of luma are."""
    height, width = (side // 8 * 8 for side in ycc.shape[1:])
    blocks = ycc[:, :height, :width].reshape(3, height // 8, 8, width // 8, 8).swapaxes(2, 3)
    basis = _dct_basis()
    found = np.abs(basis @ blocks @ basis.T).reshape(3, -1, 64)
    mean = found.mean(1)
    root = np.sqrt(np.square(found[0]).mean(0))
    peaked = np.log((root + 1e-4) / (mean[0] + 1e-4))
    return np.concatenate([np.log(mean[:, 1:] + 1e-4).ravel(), peaked[1:]])


@cache
def _dct_basis() -> Floats:
    n = np.arange(8)
    basis = np.cos((2 * n[None] + 1) * n[:, None] * np.pi / 16) / 2
    basis[0] /= np.sqrt(2)
    return basis.astype(np.float32)


def _pyramid(ycc: Floats) -> Floats:
    """Of each band (3 orientations × 3 channels) and level: log variance, kurtosis, peakedness, correlations."""
    found, low = [], ycc
    upper = np.triu_indices(9, 1)
    for _ in range(LEVELS):
        height, width = (side // 2 * 2 for side in low.shape[1:])
        low = low[:, :height, :width]
        a, b, c, d = low[:, ::2, ::2], low[:, ::2, 1::2], low[:, 1::2, ::2], low[:, 1::2, 1::2]
        bands = (np.stack([a - b + c - d, a + b - c - d, a - b - c + d], 1) / 2).reshape(9, -1)
        squares = np.square(bands)
        power = squares.mean(1) + 1e-7
        root = np.sqrt(power)
        found += [
            np.log(power),
            np.log((np.square(squares).mean(1) + 1e-10) / power**2),
            np.log((np.abs(bands).mean(1) + 1e-5) / root),
            (bands @ bands.T / bands.shape[1] / root[:, None] / root)[upper],
        ]
        low = (a + b + c + d) / 4
    return np.concatenate(found)


def _spectrum(luma: Floats) -> Floats:
    """Log power of luma under a Hann window, in rings of relative frequency and sectors of direction."""
    window = np.outer(np.hanning(luma.shape[0]), np.hanning(luma.shape[1])).astype(np.float32)
    power = np.square(np.abs(np.fft.rfft2((luma - luma.mean()) * window)))
    bins, counts = _spectrum_bins(*luma.shape)
    sums = np.bincount(bins.ravel(), power.ravel(), RINGS * ANGLES)
    found: Floats = np.log(sums / counts + 1e-6).astype(np.float32)
    return found


@cache
def _spectrum_bins(height: int, width: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    rows, columns = np.fft.fftfreq(height)[:, None] * 2, np.fft.rfftfreq(width)[None] * 2
    ring = np.minimum((np.hypot(rows, columns) * 20).astype(np.int64), RINGS - 1)
    sector = np.floor(np.arctan2(rows, columns) / np.pi * ANGLES + 0.5).astype(np.int64) % ANGLES
    bins = ring * ANGLES + sector
    return bins, np.maximum(np.bincount(bins.ravel(), minlength=RINGS * ANGLES), 1).astype(np.float64)


def _histograms(rgb: Floats, ycc: Floats) -> Floats:
    """Shares of luma (16 bins) and saturation (12), and chroma by hue (16)."""
    high, low = rgb.max(2), rgb.min(2)
    saturation = (high - low) / (high + np.float32(1e-3))
    hue = ((np.arctan2(ycc[2], ycc[1]) + np.pi) / (2 * np.pi) * 16).astype(np.int64).clip(0, 15)
    chroma = np.bincount(hue.ravel(), np.hypot(ycc[1], ycc[2]).ravel(), 16)
    counts = [np.histogram(ycc[0], 16, (0, 1))[0], np.histogram(saturation, 12, (0, 1))[0], chroma]
    found: Floats = (np.concatenate(counts) / ycc[0].size).astype(np.float32)
    return found


def _residuals(luma: Floats, distance: int, step: float) -> Floats:
    """Log co-occurrence of neighbouring residuals, first and second differences, across and down: 4 × 25."""
    found = []
    for grey in (luma, luma.T):
        first = grey[:, distance:] - grey[:, :-distance]
        second = first[:, distance:] - first[:, :-distance]
        for residual in (first, second):
            level = np.clip(np.rint(residual / np.float32(step)), -2, 2).astype(np.int64) + 2
            pairs = np.bincount((level[:, :-1] * 5 + level[:, 1:]).ravel(), minlength=25)
            found.append(np.log(pairs / pairs.sum() + 1e-4))
    return np.concatenate(found).astype(np.float32)


def _patterns(luma: Floats, distance: int) -> Floats:
    """Log shares of rotation-invariant local binary patterns (9 uniform, 2 others)."""
    height, width = luma.shape
    inner = luma[distance:-distance, distance:-distance] + np.float32(1)
    code = np.zeros(inner.shape, np.uint8)
    around = ((-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1))
    for bit, (down, right) in enumerate(around):
        y, x = distance * (1 + down), distance * (1 + right)
        code |= (luma[y : y + inner.shape[0], x : x + inner.shape[1]] > inner).astype(np.uint8) << bit
    counts = np.bincount(_pattern_bins()[code.ravel()], minlength=11)
    found: Floats = np.log(counts / counts.sum() + 1e-4).astype(np.float32)
    return found


@cache
def _pattern_bins() -> npt.NDArray[np.int64]:
    """Uniform patterns (at most two changes round the circle) by their ones, the others in two bins."""
    bins = []
    for code in range(256):
        ones = code.bit_count()
        changes = (code ^ ((code >> 1) | ((code & 1) << 7))).bit_count()
        bins.append(ones if changes <= 2 else 9 + (ones > 4))
    return np.array(bins)


SIZE = 6 + 4 * 63 + LEVELS * 63 + RINGS * ANGLES + 44 + 2 * 100 + 2 * 11
