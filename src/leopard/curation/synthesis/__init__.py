"""Documents made from facts: fact bases, their printed views, and the proof that they are right."""
