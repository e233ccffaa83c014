"""metavox: few-shot speech synthesis by meta-learning.

Shape letters used in every docstring: B tasks of a meta-batch, K utterance pairs (shots), T frames, D feature
dimensions, N rows of any kind, S samples.
"""

__version__ = "0.1.0"
