"""One reader a corpus; each yields the same Utterance rows."""
