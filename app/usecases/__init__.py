"""What the service does: no web types, no SQL, no torch."""
