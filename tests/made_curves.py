"""An error curve of three thresholds, written down; the middle one is the operating point of the tests' tiny bundles."""

from __future__ import annotations

from model.det_curve import DetCurve

CURVE = DetCurve(
    llrs=(-2.0, 0.5, 3.0),
    fmr=(1.0, 0.1, 0.0),
    fnmr=(0.0, 0.1, 1.0),
    fmr_intervals=((1.0, 1.0), (0.0, 0.2), (0.0, 0.0)),
    fnmr_intervals=((0.0, 0.0), (0.0, 0.2), (1.0, 1.0)),
    n_target=30,
    n_non_target=300,
    measured_on="made trials",
)
