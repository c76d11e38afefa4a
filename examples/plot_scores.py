# %% [markdown]
# # How far apart are the same voice and two voices?
#
# Compares every pair of clips in a folder and draws the log-likelihood ratios. The speaker of `alice-1.wav` is what stands
# before the last hyphen. Runs as a script; to go cell by cell, put the two paths below by hand.
#
#     python examples/plot_scores.py examples/clips scores.png

# %%
from __future__ import annotations

import sys
from itertools import combinations
from pathlib import Path

from vouch_client import Vouch

if len(sys.argv) != 3:
    sys.exit("usage: python examples/plot_scores.py FOLDER PICTURE.png")
folder, target = Path(sys.argv[1]), Path(sys.argv[2])
clips = sorted(folder.glob("*-*"))

# %% Ask
llrs: dict[str, list[float]] = {"same speaker": [], "two speakers": []}
with Vouch() as vouch:
    for one, other in combinations(clips, 2):
        answer = vouch.compare(one, other)
        if answer["llr"] is not None:  # None where a clip is too short to say anything
            is_same = one.stem.rpartition("-")[0] == other.stem.rpartition("-")[0]
            llrs["same speaker" if is_same else "two speakers"].append(answer["llr"])
    points = {point["name"]: point["llr"] for point in vouch.model()["operating_points"]}

# %% Tell
for kind, found in llrs.items():
    print(f"{kind}: {', '.join(f'{llr:.1f}' for llr in found) or 'no pair'}")

# %% Draw
try:
    from matplotlib.figure import Figure
except ImportError:
    sys.exit("matplotlib draws the picture: pip install matplotlib")

figure = Figure(figsize=(8, 3), layout="constrained")
axes = figure.add_subplot()
for row, (kind, found) in enumerate(llrs.items()):
    axes.plot(found, [row] * len(found), "o", label=kind, alpha=0.7)
for name, llr in points.items():
    axes.axvline(llr, linestyle="--", color="grey")
    axes.annotate(name, (llr, 1.0), xycoords=("data", "axes fraction"), xytext=(2, 2), textcoords="offset points")
axes.set_yticks(range(len(llrs)), list(llrs))
axes.set_ylim(-0.5, len(llrs) - 0.5)
axes.set_xlabel("log-likelihood ratio (natural log); accepted right of the line")
figure.savefig(target, dpi=150)
print(f"Drawn to {target}.")
