"""The service: uploads in, decisions out."""
