"""Who speaks when in a call, of those who are enrolled? Windows of the recording are identified side by side.

    python examples/identify_in_a_call.py examples/clips/speaker-a-3.ogg --window-s 4

Reads what libsndfile reads; soundfile comes with the service. A call must have ended: this is no diarisation, and a
window in which two people speak is nobody's.
"""

from __future__ import annotations

import argparse
import asyncio
import io
from pathlib import Path

import soundfile

from vouch_client import AsyncVouch
from vouch_client.schemas import IdentificationAnswer

N_AT_ONCE = 4


def windows(call: Path, window_s: float) -> list[bytes]:
    """The call as WAV files of `window_s` seconds, the last one shorter."""
    samples, sample_rate_hz = soundfile.read(call, dtype="int16")
    n_samples = round(window_s * sample_rate_hz)
    cut = []
    for start in range(0, len(samples), n_samples):
        file = io.BytesIO()
        soundfile.write(file, samples[start : start + n_samples], sample_rate_hz, format="WAV")
        cut.append(file.getvalue())
    return cut


def told(answer: IdentificationAnswer) -> str:
    if answer["decision"] == "accept":
        best = answer["candidates"][0]
        return f"{best['speaker_id']} (LLR {best['llr']:.1f})"
    if answer["decision"] == "reject":
        return "nobody who is enrolled"
    return f"cannot be told ({', '.join(answer['reasons'])})"


async def identify(call: Path, window_s: float) -> None:
    # More at once than the service has places would only be refused, and come back.
    places = asyncio.Semaphore(N_AT_ONCE)
    async with AsyncVouch() as vouch:

        async def ask(clip: bytes) -> IdentificationAnswer:
            async with places:
                return await vouch.identify(clip)

        answers = await asyncio.gather(*map(ask, windows(call, window_s)))
    for i, answer in enumerate(answers):
        print(f"{i * window_s:6.1f} s  {told(answer)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("call", type=Path)
    parser.add_argument("--window-s", type=float, default=5.0, help="longer windows are surer, and coarser")
    arguments = parser.parse_args()
    asyncio.run(identify(arguments.call, arguments.window_s))


if __name__ == "__main__":
    main()
