"""Records that cross package borders. Standard library only; knows nothing of tensors or files."""
