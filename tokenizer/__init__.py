"""Text to ids and back: SentencePiece BPE, and the same algorithm by hand.

Read bpe_training.py and then bpe.py to learn the algorithm; the other files make it fit for daily use.

import tokenizer
codec = tokenizer.train(["plays.txt"], vocab_size=2000, out="plays.model")
codec.decode(codec.encode("To be, or not to be"))
"""

from tokenizer.codec import Tokenizer, load
from tokenizer.errors import TokenizerError
from tokenizer.spm import train

__all__ = ["Tokenizer", "TokenizerError", "load", "train"]
