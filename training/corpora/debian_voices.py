"""Who speaks in which Debian package, and under which licence (each package's usr/share/doc/PACKAGE/copyright).

No package says who recorded which of its languages, so one volunteer may stand behind two of them, and one person must
not become two classes. A voice is here only if its clips hang together and no other voice here is as near as one person's
two languages are; docs/training.md says how that was measured and what was left out for it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Voice:
    speaker: str
    """One person in all packages: a voice that two packages share has one name."""
    gender: str = ""
    """`f`, `m`, or empty where the package does not say."""


@dataclass(frozen=True)
class VoicePackage:
    name: str
    licence: str
    """Of the recordings; all are free. Those without a licence of their own are under the package's."""
    sounds: str
    """Folder of the recordings, below the unpacked package."""
    pattern: re.Pattern[str]
    """Of a recording's path below `sounds`; the group `voice` is the key to `voices`. What does not match is no speech."""
    voices: Mapping[str, Voice]


def _by_language(package: str, languages: str) -> dict[str, Voice]:
    return {language: Voice(f"{package}-{language}") for language in languages.split()}


ASTERISK = "usr/share/asterisk/sounds"
PROMPT = re.compile(
    r"(?P<voice>\w+)/(?!silence/)"
    r"(?!(?:beep|beeperr|ascending-2tone|descending-2tone|tt-monkeys|confbridge-(?:join|leave))\.)"
    r".+\.(?:g722|gsm|wav)"
)
"""Every prompt but silences, tones and monkeys."""
FILLETS = "usr/share/games/fillets-ng/sound"


def _fillets(language: str) -> VoicePackage:
    """The game's two fish, `m` (malá, small) and `v` (velká, big); what else speaks is often distorted and left out."""
    return VoicePackage(
        f"fillets-ng-data-{language}",
        "GPL-2",
        FILLETS,
        re.compile(rf".+/{language}/(?:[^/-]+-)?(?P<voice>[mv])-[^/]+\.ogg"),
        {"m": Voice(f"fillets-{language}-small"), "v": Voice(f"fillets-{language}-big")},
    )


def _prompts(package: str, licence: str, folder: str, voice: Voice) -> VoicePackage:
    return VoicePackage(package, licence, ASTERISK, PROMPT, {folder: voice})


PACKAGES: tuple[VoicePackage, ...] = (
    VoicePackage(
        "tuxpaint-stamps-default",
        "GPL-2",
        "usr/share/tuxpaint/stamps",
        re.compile(r"(?!symbols/).+_desc_(?P<voice>[a-z]{2})\.ogg"),  # others recorded the letters and numbers
        _by_language("tuxpaint", "be bg ca da el es fr ro ru"),
    ),
    VoicePackage(
        "klettres-data",
        "GPL-2+",
        "usr/share/klettres",
        re.compile(r"(?P<voice>\w+)/(?:alpha|syllab)/[^/]+\.ogg"),
        _by_language("klettres", "ar en en_GB es fr he hu it lt ml nb ru"),
    ),
    VoicePackage(
        "ktuberling-data",
        "GPL-2+",
        "usr/share/ktuberling/sounds",
        re.compile(r"(?P<voice>\w+)/[^/]+\.(?:ogg|opus|wav)"),
        _by_language("ktuberling", "ca de el es fi fr ga gl lt nn pt ro sl sr sv uk wa"),
    ),
    _fillets("cs"),
    _fillets("nl"),
    VoicePackage(
        "gcin-voice",
        "GPL-3 or LGPL-3 (3.ogg), CC-BY-3.0 (5.ogg)",
        "usr/share/gcin-voice/ogg",
        re.compile(r".+/(?P<voice>[35])\.ogg"),
        {"3": Voice("gcin-3"), "5": Voice("gcin-5")},
    ),
    # The same prompts come as .wav at 8 kHz and as .gsm; G.722 keeps the band up to 7 kHz.
    _prompts("asterisk-core-sounds-en-g722", "CC-BY-SA-3.0", "en_US_f_Allison", Voice("allison-smith", "f")),
    _prompts("asterisk-core-sounds-es-g722", "CC-BY-SA-3.0", "es_MX_f_Allison", Voice("allison-smith", "f")),
    _prompts("asterisk-core-sounds-fr-g722", "CC-BY-SA-3.0", "fr_CA_f_June", Voice("june-wallack", "f")),
    _prompts("asterisk-core-sounds-it-g722", "CC-BY-3.0", "it_IT_m_Carlo", Voice("carlo-flora")),
    _prompts("asterisk-core-sounds-ru-g722", "CC-BY-3.0", "ru_RU_f_IvrvoiceRU", Voice("ivrvoice-ru", "f")),
    _prompts("asterisk-prompt-it-menardi-wav", "CC-BY-SA-3.0-it", "it_IT_f_Menardi", Voice("paola-dal-zot", "f")),
    _prompts("asterisk-prompt-fr-armelle", "BSD-like", "fr", Voice("armelle-desjardins", "f")),
)
