"""The model that answers: swaps, challengers, drift."""
