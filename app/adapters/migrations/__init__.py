"""The schema's history, shipped inside the package; `app/adapters/database.py` runs it.

A new revision is a file in `versions/` that follows the last one. Later releases open databases that earlier ones
wrote, so a released revision is never edited. There is no way down: that is what a backup is for.
"""
