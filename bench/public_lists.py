"""Does the service score as the lab does? Every public trial list, once over HTTP and once offline.

    python bench/public_lists.py --data ../shared/data [--compares 300] [--json]

Starts the service on a free loopback port with a temporary data directory. Each clip goes through POST /v1/embeddings
once, which gives the score of every trial; a seeded sample of trials also goes through POST /v1/compare as two
uploads. Prints, for each list: the EER over HTTP and offline, the largest difference between any score over HTTP and
offline, and the same for the compared sample. `--json` prints one line, last, with the figures.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx2
import numpy as np
from rich.progress import track
from running import ROOT, service

from training.encoders import embed_files, open_encoder
from training.metrics import eer, error_curve
from training.trial_scores import score_trials
from training.trials import Trials, read_trials

LISTS = ("librispeech-test-other-test", "speechocean762-dev-adults", "speechocean762-dev", "dspspeech20-test")


@dataclass(frozen=True)
class Figures:
    trials: str
    n_trials: int
    eer_http: float
    eer_offline: float
    largest_score_difference: float
    n_compared: int
    largest_compare_difference: float
    n_clips_refused: int
    """Clips that are no evidence at all (no frame, or silence): the offline score stands alone."""


def measure(client: httpx2.Client, trials: Trials, n_compares: int) -> Figures:
    offline = embed_files(open_encoder(ROOT / "bundles" / "default").module, trials.paths, f"{trials.name} offline")
    over_http = offline.copy()
    n_refused = 0
    for i, path in enumerate(track(trials.paths, description=f"{trials.name} over HTTP")):
        answer = client.post("/v1/embeddings", files={"audio": path.read_bytes()})
        if answer.status_code == 200:
            over_http[i] = answer.json()["embedding"]
        else:
            n_refused += 1
    scores = {name: score_trials(trials, e, "cosine") for name, e in (("http", over_http), ("offline", offline))}
    chosen = np.random.default_rng(1).choice(len(trials.labels), min(n_compares, len(trials.labels)), replace=False)
    differences = [0.0]
    for t in track(chosen, description=f"{trials.name} compared"):
        a, b = (trials.paths[i].read_bytes() for i in (trials.a[t], trials.b[t]))
        answer = client.post("/v1/compare", files={"audio_a": a, "audio_b": b}).raise_for_status()
        differences.append(abs(answer.json()["score"] - scores["offline"][t]))
    eers = {name: eer(error_curve(values, trials.labels))[0] for name, values in scores.items()}
    return Figures(
        trials=trials.name,
        n_trials=len(trials.labels),
        eer_http=eers["http"],
        eer_offline=eers["offline"],
        largest_score_difference=float(np.abs(scores["http"] - scores["offline"]).max()),
        n_compared=len(chosen),
        largest_compare_difference=max(differences),
        n_clips_refused=n_refused,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--compares", type=int, default=300, help="trials of each list sent through /v1/compare")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    results = []
    with (
        service({"VOUCH_EMBEDDINGS_ENABLED": "1"}) as running,
        httpx2.Client(base_url=f"http://127.0.0.1:{running.port}", timeout=60) as client,
    ):
        for name in LISTS:
            trials = read_trials(arguments.data / "trials" / f"{name}.txt", arguments.data)
            found = measure(client, trials, arguments.compares)
            results.append(found)
            print(
                f"{name}: EER {100 * found.eer_http:.3f} % over HTTP, {100 * found.eer_offline:.3f} % offline; "
                f"scores differ by at most {found.largest_score_difference:.1e} ({found.n_trials} trials), "
                f"compared by {found.largest_compare_difference:.1e} ({found.n_compared} trials); "
                f"{found.n_clips_refused} clips refused"
            )
    if arguments.json:
        print(json.dumps([asdict(found) for found in results]))


if __name__ == "__main__":
    main()
