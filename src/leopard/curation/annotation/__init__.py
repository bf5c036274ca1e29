"""Annotation by a language model behind an OpenAI-compatible server; optional.

A model rewords questions, asks new ones with a program that is executed, reasons towards known
answers, and judges. What it says is believed only as far as it can be checked.
"""
