"""For operators: status, top, doctor, advice, watch, access rules."""
