"""Who does the work: local processes, a Ray cluster, or one rank of a job array."""
