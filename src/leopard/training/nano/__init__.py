"""How the shipped small model is trained: reading lessons for its encoder, then language lessons.

Everything here runs on a laptop CPU. The pages come from a source handed in by the caller, so that
this package needs nothing of curation.
"""
