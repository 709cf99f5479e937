"""Hostile input for each door of the package: whatever comes in is accepted rightly or refused in one line."""
