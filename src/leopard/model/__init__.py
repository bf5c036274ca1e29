"""The Leopard models: connector and composition of transformers classes, and their weights."""
