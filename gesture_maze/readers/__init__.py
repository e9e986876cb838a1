"""Readers of landmark files: captures, tables and results, in any common layout."""
