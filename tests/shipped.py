"""The service as it ships: default bundle, real decoders and detector, SQLite and FAISS in a given folder."""

from __future__ import annotations

from pathlib import Path

from app.settings import Settings

BASE_URL = "http://localhost"
ROOT = Path(__file__).resolve().parents[1]
BUNDLE = ROOT / "bundles" / "default"
CLIPS = ROOT / "examples" / "clips"
"""Real voices that are always there: three clips of speaker A, one of speaker B."""


def settings(data_dir: Path) -> Settings:
    return Settings(bundle=BUNDLE, data_dir=data_dir, embeddings_enabled=True, workers=2)
