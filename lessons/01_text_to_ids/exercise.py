"""Lesson 1, exercise: byte pair encoding by hand. Run `pytest` in this folder to see your points.

Replace each `raise` by your own lines. A symbol is a short string; at first every symbol is one character.
"""


def count(text):
    """Task 1.1. How many characters the text has, and how many bytes in UTF-8.

    >>> count("naïve")
    (5, 6)
    """
    raise NotImplementedError("task 1.1")


def count_pairs(symbols):
    """Task 1.2. How often each pair of neighbours occurs: a dictionary in order of first appearance.

    >>> count_pairs(["a", "b", "a", "b"])
    {('a', 'b'): 2, ('b', 'a'): 1}
    """
    raise NotImplementedError("task 1.2")


def merge_pair(symbols, pair):
    """Task 1.3. A new list in which each occurrence of the pair, from left to right, is one symbol.

    >>> merge_pair(["a", "a", "a", "b"], ("a", "a"))
    ['aa', 'a', 'b']
    """
    raise NotImplementedError("task 1.3")


def learn(text, merges):
    """Task 1.4. The new symbols of so many merges, in the order in which they are made.

    Begin with the characters. Each merge joins the most frequent pair, among equals the one that appears
    first. Stop early where no pair occurs twice.

    >>> learn("low lower lowest", 2)
    ['lo', 'low']
    """
    raise NotImplementedError("task 1.4")


def encode(text, learned):
    """Task 1.5. The symbols of a text under learned symbols (best first).

    Begin with the characters. As long as some neighbours join to a learned symbol, join the two whose
    symbol was learned earliest, among equals the leftmost. SentencePiece encodes in just this way.

    >>> encode("lowly", ["lo", "low", "ly"])
    ['low', 'ly']
    """
    raise NotImplementedError("task 1.5")


def compression(text, symbols):
    """Task 1.6. Bytes of the text (UTF-8) per symbol: how much one id carries.

    >>> compression("lowly", ["low", "ly"])
    2.5
    """
    raise NotImplementedError("task 1.6")
