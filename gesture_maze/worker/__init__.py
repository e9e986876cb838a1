"""A worker pool: read, decode, admit, classify, decide, commit."""
