"""Debian's spoken packages: made trees in their layouts, and a table of voices that keeps persons apart."""

from collections import Counter
from pathlib import Path

import pytest

from made_corpora import clip, debian
from training.corpora.debian_voices import PACKAGES
from training.corpora.utterance import CorpusError, Utterance
from training.prepare import read_corpus

STAMPS = "tuxpaint-stamps-default/usr/share/tuxpaint/stamps"
PROMPTS = "asterisk-core-sounds-en-g722/usr/share/asterisk/sounds/en_US_f_Allison"


def read(root: Path, *names: str) -> list[Utterance]:
    for name in names:
        clip(root / name)
    return read_corpus(f"debian:{root}")


def test_a_language_folder_is_a_speaker(tmp_path: Path) -> None:
    rows = read_corpus(f"debian:{debian(tmp_path)}")
    assert Counter(u.speaker for u in rows) == {
        "debian-klettres-hu": 2,
        "debian-klettres-lt": 1,
        "debian-ktuberling-fr": 1,
        "debian-ktuberling-nn": 1,
        "debian-ktuberling-sl": 1,
    }
    assert {(u.corpus, u.session, u.split) for u in rows} == {
        ("debian", "klettres-data", "train"),
        ("debian", "ktuberling-data", "train"),
    }
    assert all(u.path.is_absolute() and u.path.is_file() for u in rows)


def test_stamps_are_descriptions_and_neither_sound_effects_nor_numbers_that_others_recorded(tmp_path: Path) -> None:
    rows = read(
        tmp_path,
        f"{STAMPS}/animals/birds/goose_desc_bg.ogg",
        f"{STAMPS}/animals/birds/goose.ogg",
        f"{STAMPS}/animals/birds/goose_desc_pt_BR.ogg",
        f"{STAMPS}/symbols/math/2_desc_bg.ogg",
    )
    assert [(u.speaker, u.path.name) for u in rows] == [("debian-tuxpaint-bg", "goose_desc_bg.ogg")]


def test_prompts_are_speech_and_neither_tones_nor_silence(tmp_path: Path) -> None:
    rows = read(
        tmp_path,
        *(
            f"{PROMPTS}/{name}.g722"
            for name in ("hello", "digits/1", "silence/1", "beep", "confbridge-join", "tt-monkeys")
        ),
        *(f"{PROMPTS}/{name}.g722" for name in ("confbridge-joined", "tt-monkeysintro")),
        "asterisk-core-sounds-es-g722/usr/share/asterisk/sounds/es_MX_f_Allison/hello.g722",
    )
    assert {u.path.name for u in rows} == {"hello.g722", "1.g722", "confbridge-joined.g722", "tt-monkeysintro.g722"}
    assert {(u.speaker, u.gender) for u in rows} == {("debian-allison-smith", "f")}, "one person, two languages"
    assert len({u.session for u in rows}) == 2


def test_the_two_fish_are_two_speakers_and_the_rest_of_the_cast_is_left_out(tmp_path: Path) -> None:
    room = "fillets-ng-data-cs/usr/share/games/fillets-ng/sound/city/cs"
    rows = read(tmp_path, *(f"{room}/{name}.ogg" for name in ("vit-m-hlava", "vit-v-proc", "m-no", "vit-hs-lod0")))
    assert Counter(u.speaker for u in rows) == {"debian-fillets-cs-small": 2, "debian-fillets-cs-big": 1}


def test_one_file_name_a_voice(tmp_path: Path) -> None:
    folder = "gcin-voice/usr/share/gcin-voice/ogg/ㄅㄚ"
    rows = read(tmp_path, f"{folder}/3.ogg", f"{folder}/5.ogg")
    assert [u.speaker for u in rows] == ["debian-gcin-3", "debian-gcin-5"]


def test_a_folder_without_packages_lists_them(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"give the folder into which .*klettres-data.* were unpacked"):
        read_corpus(f"debian:{tmp_path}")


def test_a_package_that_holds_no_speech_says_how_to_unpack_it(tmp_path: Path) -> None:
    (tmp_path / "klettres-data").mkdir()
    with pytest.raises(CorpusError, match="dpkg-deb -x"):
        read_corpus(f"debian:{tmp_path}")


def test_every_package_names_a_licence_and_only_a_named_person_speaks_in_two() -> None:
    assert all(package.licence for package in PACKAGES)
    speakers = Counter(voice.speaker for package in PACKAGES for voice in package.voices.values())
    assert {speaker for speaker, n in speakers.items() if n > 1} == {"allison-smith"}
