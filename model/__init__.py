"""The voice maths: no web, no environment, no database; files only through `bundle.py`."""
