"""One trainer for both stages, from a laptop to many nodes."""
