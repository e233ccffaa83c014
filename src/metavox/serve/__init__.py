"""Voices that people and assistants use: a web page, OpenAI's speech endpoint, Home Assistant.

`python -m metavox.serve`; needs pip install "metavox[serve]". Over the public face only.
"""
