"""Steps to fewer steps, with the same records."""
