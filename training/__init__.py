"""The lab: from corpora to a bundle."""
