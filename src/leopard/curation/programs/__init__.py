"""Questions as programs over facts: the language, its interpreter, and a second evaluator."""
