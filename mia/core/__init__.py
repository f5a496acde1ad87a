"""Types shared by all levels, the session calendar, and wires to the outside."""
