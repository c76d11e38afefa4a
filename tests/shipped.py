"""The service as it ships: default bundle, real decoders and detector, SQLite and FAISS in a given folder."""

from __future__ import annotations

from pathlib import Path

from app.settings import Settings

BASE_URL = "http://localhost"
BUNDLE = Path(__file__).resolve().parents[1] / "bundles" / "default"


def settings(data_dir: Path) -> Settings:
    return Settings(bundle=BUNDLE, data_dir=data_dir, embeddings_enabled=True, workers=2)
