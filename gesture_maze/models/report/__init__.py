"""The evaluation report, one self-contained HTML page."""
