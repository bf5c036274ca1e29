"""Raw sources and synthetic facts to instruction shards."""
