"""Serves a generator over HTTP: the OpenAI-compatible interface and the page for people.

Given a generator by the command line; imports no model and no torch.
"""
