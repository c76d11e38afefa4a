"""Does every call keep to the OpenAPI document, whatever is sent? Schemathesis against a real service with keys.

    make contract EXAMPLES=200 [SEED=1]

Calls are made up from the document, those that fit it and those that do not; real voices, ids that exist and keys that
lack a scope are mixed in. Every answer must have a documented status, media type, headers and body, and be none of 5xx;
a key that lacks the scope must be 403, and none 401. Then every worker must verify a real clip, and the service and its
children must have stayed below PEAK_CAP_MB.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
from base64 import b64encode
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import schemathesis
from api_contract_calls import STANDING, WITNESS, Bearer, Dresser, clips, make_bearers
from hypothesis import HealthCheck, Phase, given, seed
from hypothesis import settings as examples
from hypothesis.errors import Unsatisfiable
from hypothesis.strategies import integers
from processes import family, footprint, sampled
from pydantic import SecretStr
from running import HOST, service
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from app.components import open_keys
from app.settings import Settings

PEAK_CAP_MB = 1536
"""Resident, of the service and its decoders together; pages that they share count for each."""
N_WORKERS = 2
N_CALLERS = 2 * N_WORKERS
N_ERRORS_SHOWN = 20
DRESSED_SHARE = 0.8
"""The other calls stay as they were made up, so that those that do not fit the document must be refused."""
MIB = 1024 * 1024
TIMEOUT_S = 60.0
SERVED_WITH = {
    "VOUCH_WORKERS": str(N_WORKERS),
    "VOUCH_EMBEDDINGS_ENABLED": "1",
    # A refusal for haste would stand before everything else.
    "VOUCH_RATE_LIMIT_PER_MINUTE": "0",
    "VOUCH_VERIFY_LIMIT_PER_MINUTE": "0",
}
LOG_ALARMS = ("Traceback", " ERROR ", " CRITICAL ")
CHECKS = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
)


@dataclass
class Tally:
    statuses: defaultdict[str, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    """By operation."""
    errors: list[str] = field(default_factory=list)
    n_lost_workers: int = 0
    peak_bytes: int = 0

    def figures(self) -> Mapping[str, int | float]:
        by_status = sum(self.statuses.values(), Counter())
        return {
            "operations": len(self.statuses),
            "cases": by_status.total(),
            "successes": sum(n for status, n in by_status.items() if status < 400),
            "server_errors": sum(n for status, n in by_status.items() if status >= 500),
            "errors": len(self.errors),
            "lost_workers": self.n_lost_workers,
            "peak_mb": round(self.peak_bytes / MIB, 1),
        }

    @property
    def is_clean(self) -> bool:
        return not self.errors and not self.n_lost_workers and self.peak_bytes <= PEAK_CAP_MB * MIB


class Checker:
    """Calls one service and holds its answers to its own document."""

    def __init__(self, base_url: str, bearers: Sequence[Bearer], tally: Tally, run_seed: int) -> None:
        self._base_url, self._seed, self._tally = base_url, run_seed, tally
        self._dresser, self._n_calls = Dresser(bearers), 0
        # Keys come from the bearers alone; two in one request would be 401 each time.
        config = schemathesis.Config.from_dict({"generation": {"with-security-parameters": False}})
        self._document = schemathesis.openapi.from_url(
            f"{base_url}/openapi.json", headers=bearers[0].headers, config=config
        )

    def check(self, n_examples: int) -> None:
        """So many calls of every operation that fit the document, and as many that do not."""
        for found in self._document.get_all_operations():
            operation = found.ok()
            for mode in GenerationMode:
                self._check_operation(operation, mode, n_examples)

    def _check_operation(self, operation: APIOperation, mode: GenerationMode, n_examples: int) -> None:
        @seed(self._seed)
        @examples(
            max_examples=n_examples,
            database=None,
            deadline=None,
            phases=[Phase.generate],  # what is wrong is noted, and not raised, so there is nothing to shrink
            suppress_health_check=list(HealthCheck),
        )
        # With the number, a call that takes nothing is made as often as any other.
        @given(case=operation.as_strategy(generation_mode=mode), _number=integers())
        def call(case: Case, _number: int) -> None:
            self._n_calls += 1
            self._call(operation, case, random.Random(f"{self._seed} {self._n_calls}"))

        try:
            call()
        except Unsatisfiable:
            assert mode.is_negative, "a call that takes nothing cannot be called wrongly"

    def _call(self, operation: APIOperation, case: Case, dice: random.Random) -> None:
        bearer, checks = self._dresser.bearer(dice), list(CHECKS)
        if dice.random() < DRESSED_SHARE:
            self._dresser.dress(case, dice)
        else:
            checks.append(negative_data_rejection)
        answer = case.call(base_url=self._base_url, headers=bearer.headers, timeout=TIMEOUT_S)
        self._tally.statuses[operation.label][answer.status_code] += 1
        try:
            case.validate_response(answer, checks=checks)
        except FailureGroup as failures:
            self._tally.errors.append(str(failures))
        refusal = bearer.refusal(operation.definition.raw["security"])
        # A path that was made up may match no route, and then any valid key will do.
        due = {refusal, 404} if refusal == 403 else {refusal}
        if refusal is not None and answer.status_code not in due:
            self._tally.errors.append(
                f"{operation.label} answered {answer.status_code} to a key that was due {refusal}"
            )
        if answer.status_code == 201:
            self._dresser.known.note(answer.json())


def contract(n_examples: int, run_seed: int) -> Tally:
    """Against a service of its own, with its shipped bundle and an empty store."""
    tally = Tally()
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as log:
        master_key = b64encode(os.urandom(32)).decode()
        with open_keys(Settings(data_dir=Path(folder), master_key=SecretStr(master_key))) as keys:
            bearers = make_bearers(keys)
        settings = {**SERVED_WITH, "VOUCH_DATA_DIR": folder, "VOUCH_MASTER_KEY": master_key}
        with service(settings, log) as running:
            base_url = f"http://{HOST}:{running.port}"
            with httpx2.Client(base_url=base_url, headers=bearers[0].headers, timeout=TIMEOUT_S) as client:
                enroll_all(client)
                n_processes = len(family(running.pid))
                with sampled(lambda: footprint(running.pid).resident_bytes) as samples:
                    Checker(base_url, bearers, tally, run_seed).check(n_examples)
                    tally.n_lost_workers = N_CALLERS - n_accepted(client)
                tally.peak_bytes = max(samples)
            if len(family(running.pid)) != n_processes:
                tally.errors.append(f"{n_processes} processes at the begin, {len(family(running.pid))} at the end")
        log.seek(0)
        said = log.read().decode(errors="replace")
    if any(alarm in said for alarm in LOG_ALARMS):
        tally.errors.append(f"the service's log has: {said[-3000:]}")
    return tally


def enroll_all(client: httpx2.Client) -> None:
    for speaker_id in (*STANDING, WITNESS):
        client.post("/v1/speakers", json={"speaker_id": speaker_id}).raise_for_status()
        files = [("audio", (f"{number}.wav", clip)) for number, clip in enumerate(clips("a")[:2])]
        client.post(f"/v1/speakers/{speaker_id}/enrollments", files=files).raise_for_status()


def n_accepted(client: httpx2.Client) -> int:
    """Of as many verifications of the witness's own voice at once as there are threads to hear them."""
    probe = clips("a")[2]

    def is_accepted(_: int) -> bool:
        answer = client.post(f"/v1/speakers/{WITNESS}/verify", files={"audio": ("probe.wav", probe)})
        return answer.status_code == 200 and answer.json()["decision"] == "accept"

    with ThreadPoolExecutor(N_CALLERS) as callers:
        return sum(callers.map(is_accepted, range(N_CALLERS)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--examples", type=int, default=200, help="calls of each operation that fit it, and that do not"
    )
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    tally = contract(arguments.examples, arguments.seed)
    for error in tally.errors[:N_ERRORS_SHOWN]:
        print(error)
    for operation, statuses in tally.statuses.items():
        print(f"{operation}: {', '.join(f'{status} {n}' for status, n in sorted(statuses.items()))}")
    print(json.dumps(tally.figures()), flush=True)
    sys.exit(not tally.is_clean)


if __name__ == "__main__":
    main()
