"""The command line: wires parts together, holds no logic."""
