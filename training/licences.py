"""Under which licence corpora come, for the model card. What a corpus is called here is what its reader calls it."""

from __future__ import annotations

from training.corpora.debian_voices import PACKAGES

LICENCES = {
    "commonvoice": "CC0 1.0",
    "debian": f"by package: {', '.join(sorted({package.licence for package in PACKAGES}))}",
    "dspspeech20": "MIT",
    "librispeech": "CC BY 4.0",
    "speechocean762": "CC BY 4.0",
    "timit": "LDC user agreement",
    "vctk": "CC BY 4.0",
    "voxceleb": "CC BY 4.0 for the lists; the recordings remain their owners'",
}
"""By the beginning of the corpus's name."""
NOT_KNOWN = "not known to Vouch: ask whoever prepared it"


def licence_of(corpus: str) -> str:
    """The licence of a corpus, of one of its subsets, or of a trial list that is named after it."""
    return next((licence for name, licence in LICENCES.items() if corpus.lower().startswith(name)), NOT_KNOWN)
