"""Capture files: read, write, record, convert, mutate."""
