"""Readers of landmark files: captures, tables and results, in any layout that people have."""
