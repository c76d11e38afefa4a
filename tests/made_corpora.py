"""Corpora on disk in the layouts that they come in, of noise: for readers and for what follows them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

import signals

FORMATS = {
    ".wav": ("WAV", "PCM_16"),
    ".flac": ("FLAC", "PCM_16"),
    ".ogg": ("OGG", "VORBIS"),
    ".opus": ("OGG", "OPUS"),
    ".mp3": ("MP3", "MPEG_LAYER_III"),
}


def clip(path: Path, seed: int | None = None, n_samples: int = 8_000, amplitude: float = 0.1) -> Path:
    """Half a second of noise at 16 kHz; every path sounds different unless a seed is given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(list(str(path).encode()) if seed is None else seed)
    samples = amplitude * rng.standard_normal(n_samples)
    if path.suffix == ".g722":
        path.write_bytes(signals.g722(samples[:, None].astype(np.float32)))
    elif path.suffix == ".m4a":
        path.write_bytes(signals.m4a(samples[:, None].astype(np.float32), 16_000))
    else:
        container, encoding = FORMATS[path.suffix.lower()]
        whole = np.round(samples * 2**15).astype(np.int16)  # libsndfile rounds floats differently for WAV and FLAC
        soundfile.write(path, whole, 16_000, format=container, subtype=encoding)
    return path


def timit(root: Path) -> Path:
    for part, speaker in (("TRAIN", "FCJF0"), ("TRAIN", "MDAC0"), ("TEST", "MWBT0")):
        for name in ("SA1", "SX100"):
            clip(root / part / "DR1" / speaker / f"{name}.WAV")
    return root


def librispeech(root: Path) -> Path:
    for subset, speaker, chapter in (
        ("train-clean-100", "19", "198"),
        ("train-clean-100", "19", "227"),
        ("dev-clean", "84", "121123"),
        ("test-other", "367", "130732"),
    ):
        clip(root / subset / speaker / chapter / f"{speaker}-{chapter}-0000.flac")
    (root / "SPEAKERS.TXT").write_text(";ID|SEX|SUBSET\n19 | F | train-clean-100 | 25.19 | Kara\n367 | M | x | 8 | X\n")
    return root


def manifest(root: Path) -> Path:
    clip(root / "a" / "1.wav")
    clip(root / "b" / "1.wav")
    text = "path,corpus,split,speaker,session,gender,age\na/1.wav,made,train,a,1,F,11\nb/1.wav,made,dev,b,,,\n"
    (root / "manifest.csv").write_text(text)
    return root


def vctk(root: Path) -> Path:
    """0.92: two microphones, but one of p280, and s5 beside the numbered speakers."""
    part = root / "wav48_silence_trimmed"
    for speaker, microphones in (("p225", (1, 2)), ("p280", (2,)), ("s5", (1, 2))):
        for microphone in microphones:
            for utterance in ("001", "002"):
                clip(part / speaker / f"{speaker}_{utterance}_mic{microphone}.flac")
    (part / "log.txt").write_text("trimmed")
    (root / "speaker-info.txt").write_text(
        "ID  AGE  GENDER  ACCENTS  REGION COMMENTS \n"
        "p225  23  F    English    Southern  England\n"
        "p280  25  F    Unknown    France (mic2 files unavailable)\n"
    )
    return root


def voxceleb(root: Path) -> Path:
    """VoxCeleb1 as one folder wav, VoxCeleb2 as dev and test, with both meta files."""
    for name in ("wav/id10001/1zcIwhmdeo4/00001", "wav/id10001/7gWzIy6yIIk/00001", "wav/id10270/5r0dWxy17C8/00001"):
        clip(root / f"{name}.wav")
    for name in ("dev/aac/id00012/21Uxsk56VDQ/00001", "test/aac/id00017/01dfn2spqyE/00001"):
        clip(root / f"{name}.m4a")
    (root / "vox1_meta.csv").write_text(
        "VoxCeleb1 ID\tVGGFace1 ID\tGender\tNationality\tSet\n"
        "id10001\tA.J._Buckley\tm\tIreland\tdev\n"
        "id10270\tEartha_Kitt\tf\tUSA\ttest\n"
    )
    (root / "vox2_meta.csv").write_text(
        "VoxCeleb2 ID ,VGGFace2 ID ,Gender ,Set \nid00012 ,n000012 ,m ,dev \nid00017 ,n000017 ,f ,test \n"
    )
    return root


ACCOUNTS = {name: (name * 128)[:128] for name in "abcd"}


def commonvoice(root: Path) -> Path:
    """Two languages; `a` speaks both, and tests in one of them. `d` is in no split."""
    rows = {
        ("en", "train"): [("a", "male", "twenties"), ("a", "male", "twenties")],
        ("en", "dev"): [("b", "female_feminine", "")],
        ("en", "test"): [],
        ("cy", "train"): [("c", "other", "fourties")],
        ("cy", "dev"): [],
        ("cy", "test"): [("a", "male_masculine", "")],
    }
    header = "client_id\tpath\tsentence\tup_votes\tdown_votes\tage\tgender\taccents\tlocale\tsegment\n"
    for language in ("en", "cy"):
        validated = header
        for split in ("train", "dev", "test"):
            lines = header
            for number, (account, gender, age) in enumerate(rows[language, split]):
                name = clip(root / language / "clips" / f"common_voice_{language}_{split}{number}.mp3").name
                lines += f'{ACCOUNTS[account]}\t{name}\tShe said "yes.\t2\t0\t{age}\t{gender}\t\t{language}\t\n'
            (root / language / f"{split}.tsv").write_text(lines)
            validated += lines.removeprefix(header)
        if language == "en":
            name = clip(root / "en" / "clips" / "common_voice_en_9.mp3").name
            validated += f"{ACCOUNTS['d']}\t{name}\tNo.\t2\t0\t\t\t\ten\t\n"
        (root / language / "validated.tsv").write_text(validated)
    return root


def folder(root: Path) -> Path:
    for name in ("ann/1.wav", "ann/2.mp3", "bob/monday/1.ogg", "bob/tuesday/am/1.flac", "eve/.trash/1.wav"):
        clip(root / name)
    (root / "bob" / "notes.txt").write_text("x")
    return root


def debian(root: Path) -> Path:
    for name in (
        "klettres-data/usr/share/klettres/hu/alpha/a.ogg",
        "klettres-data/usr/share/klettres/hu/syllab/ab.ogg",
        "klettres-data/usr/share/klettres/lt/alpha/a.ogg",
        "klettres-data/usr/share/klettres/xx/alpha/a.ogg",
        "ktuberling-data/usr/share/ktuberling/sounds/sl/hat.ogg",
        "ktuberling-data/usr/share/ktuberling/sounds/nn/hat.opus",
        "ktuberling-data/usr/share/ktuberling/sounds/fr/hat.wav",
    ):
        clip(root / name)
    return root
