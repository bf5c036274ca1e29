"""Images and messages to model inputs; owns the placeholder invariant."""
