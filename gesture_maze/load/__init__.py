"""`maze simulate`: simulated players as load, and an account of their frames."""
