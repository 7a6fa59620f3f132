"""Lesson 1, one solution of the exercise: byte pair encoding by hand."""

from collections import Counter
from itertools import pairwise


def count(text):
    """Task 1.1. How many characters the text has, and how many bytes in UTF-8."""
    return len(text), len(text.encode())


def count_pairs(symbols):
    """Task 1.2. How often each pair of neighbours occurs: a dictionary in order of first appearance."""
    return dict(Counter(pairwise(symbols)))


def merge_pair(symbols, pair):
    """Task 1.3. A new list in which each occurrence of the pair, from left to right, is one symbol."""
    merged, place = [], 0
    while place < len(symbols):
        found = tuple(symbols[place : place + 2]) == tuple(pair)
        merged.append("".join(pair) if found else symbols[place])
        place += 2 if found else 1
    return merged


def learn(text, merges):
    """Task 1.4. The new symbols of so many merges, in the order in which they are made."""
    symbols, learned = list(text), []
    for _ in range(merges):
        pairs = count_pairs(symbols)
        best = max(pairs, key=pairs.get, default=None)  # max keeps the first among equals
        if best is None or pairs[best] < 2:
            break
        symbols = merge_pair(symbols, best)
        learned.append("".join(best))
    return learned


def encode(text, learned):
    """Task 1.5. The symbols of a text under learned symbols (best first)."""
    rank = {symbol: number for number, symbol in reversed(list(enumerate(learned)))}
    symbols = list(text)
    while True:
        joins = [(rank[a + b], place) for place, (a, b) in enumerate(pairwise(symbols)) if a + b in rank]
        if not joins:
            return symbols
        _, place = min(joins)
        symbols[place : place + 2] = [symbols[place] + symbols[place + 1]]


def compression(text, symbols):
    """Task 1.6. Bytes of the text (UTF-8) per symbol: how much one id carries."""
    return len(text.encode()) / len(symbols)
