"""A calibration for people: what was chosen, and what its LLRs are worth."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table

from training.calibrate import CalibrationResult


def print_calibration(result: CalibrationResult, path: Path, console: Console) -> None:
    points = Table("operating point", "LLR", "FMR %", "FNMR %", title=f"{path}, fitted on {result.fitted_on}")
    for point in result.operating_points.values():
        points.add_row(point.name, f"{point.llr:.3f}", f"{100 * point.fmr:.3f}", f"{100 * point.fnmr:.2f}")
    console.print(points)
    for name, why in result.unsupported.items():
        console.print(f"{name} not written: {why}", highlight=False)
    heard = (
        "on speakers held out from the fit"
        if result.is_held_out
        else "on the speakers it was fitted on, too few to hold any out"
    )
    kinds = Table("trials", "target + non-target", "Cllr, bits", "least possible", title=heard)
    for kind in result.kinds:
        n_trials = f"{kind.n_target} + {kind.n_non_target}"
        kinds.add_row(kind.trials, n_trials, f"{kind.cllr_bits:.3f}", f"{kind.min_cllr_bits:.3f}")
    console.print(kinds)
    for candidate in result.candidates:
        cost = "not rated" if candidate.cllr_bits is None else f"{candidate.cllr_bits:.4f} bits"
        console.print(f"side information {', '.join(candidate.features) or 'none'}: {cost}", highlight=False)
    chosen = ", ".join(term.feature for term in result.likelihood.calibration.terms) or "none"
    console.print(f"taken: {chosen}", highlight=False)
    found = result.normalisation
    costs = (
        ""
        if found.cllr_bits_with is None
        else f" ({found.cllr_bits_without:.4f} bits without, {found.cllr_bits_with:.4f} with)"
    )
    console.print(f"AS-norm {'on' if found.is_on else 'off'}: {found.reason}{costs}", highlight=False)
    console.print(f"Cllr {result.cllr_bits:.4f} bits, least possible {result.min_cllr_bits:.4f}")
