from pathlib import Path

import pytest

import voicemaking
from training.prepare import prepare


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `vouch-train prepare` makes of six speakers with three clips of a second each."""
    folder = tmp_path_factory.mktemp("voices")
    voicemaking.write_corpus(folder, n_speakers=6, n_clips=3, duration_s=1.0)
    prepare([f"manifest:{folder}"], folder / "data")
    return folder / "data"
