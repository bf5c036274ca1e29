"""Many runs as one: what to run is written in a file, what came out becomes one set of pages."""
