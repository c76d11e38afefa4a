"""A bundle that wore out or was tampered with: refused by its hashes, before anything of it is parsed."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from app.adapters.embedders import open_embedder
from model.bundle import file_sha256, load_bundle
from model.errors import BundleError
from tiny_bundle import write_tiny_bundle

N_PLACES_EACH = 50


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_bundle(tmp_path_factory.mktemp("worn") / "bundle")


def flipped(data: bytes, place: int, bit: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :]


def test_every_file_is_held_to_its_hash(bundle: Path) -> None:
    rng = random.Random(1)
    for path in [path for path in bundle.iterdir() if path.name != "bundle.json"]:
        whole = path.read_bytes()
        worn = [flipped(whole, rng.randrange(len(whole)), rng.randrange(8)) for _ in range(N_PLACES_EACH)]
        for content in [*worn, b"", whole[:-1], whole + b"\n"]:
            path.write_bytes(content)
            with pytest.raises(BundleError, match=rf"{path.name} in .* was altered"):
                load_bundle(bundle)
        path.write_bytes(whole)


def test_a_pinned_card_is_not_parsed_before_its_hash_is_known(bundle: Path) -> None:
    card = bundle / "bundle.json"
    whole, pin = card.read_bytes(), file_sha256(card)
    for content in (b"[" * 100_000, b"", b"\xff", whole[:-1]):
        card.write_bytes(content)
        with pytest.raises(BundleError, match="VOUCH_BUNDLE_SHA256 asks for"):
            load_bundle(bundle, pin)
    for content in (b"[" * 100_000, b"", b"\xff"):
        card.write_bytes(content)
        with pytest.raises(BundleError, match="not a bundle card"):
            load_bundle(bundle)
    card.write_bytes(whole)
    load_bundle(bundle, pin)


def test_a_card_that_wore_out_changes_no_answer(bundle: Path) -> None:
    """Without a pin: what it says of thresholds is held by calibration_id, of files and of the encoder by themselves.

    Another encoder_id makes everybody `stale`, whom nothing is compared with.
    """
    card = bundle / "bundle.json"
    whole = card.read_bytes()
    intact = load_bundle(bundle)
    n_loaded = 0
    try:
        for place in range(len(whole)):
            card.write_bytes(flipped(whole, place, place % 7))
            try:
                loaded = load_bundle(bundle)
                open_embedder("torchscript", loaded, "cpu")
            except BundleError:
                continue
            n_loaded += 1
            for field in ("likelihood", "calibration_id", "operating_points", "n_embedding", "encoder_path"):
                assert getattr(loaded, field) == getattr(intact, field)
    finally:
        card.write_bytes(whole)
    assert n_loaded > 0
