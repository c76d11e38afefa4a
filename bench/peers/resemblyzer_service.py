"""What somebody would write in an afternoon around Resemblyzer: two files in, one cosine out. A yardstick, no more."""

from __future__ import annotations

import io
import os
import warnings
from typing import Annotated, Any

import numpy as np
import soundfile
import torch
from fastapi import FastAPI, File

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what it and librosa import is deprecated; nothing to do about it here
    from resemblyzer import VoiceEncoder, preprocess_wav

torch.set_num_threads(1)  # requests beside each other gain more than threads within one
encoder = VoiceEncoder("cpu", verbose=False)
app = FastAPI()


def embedding(data: bytes) -> Any:
    samples, rate_hz = soundfile.read(io.BytesIO(data), dtype="float32")
    return encoder.embed_utterance(preprocess_wav(samples, source_sr=rate_hz))


@app.post("/compare")
def compare(audio_a: Annotated[bytes, File()], audio_b: Annotated[bytes, File()]) -> dict[str, float]:
    """Embeddings have length one, so that their product is the cosine."""
    return {"score": float(np.dot(embedding(audio_a), embedding(audio_b)))}


@app.get("/readyz")
def ready() -> int:
    """Which of its processes answers."""
    return os.getpid()
