"""The calls of a user: open a model, train one, run the demo, check the set-up. The commands call them too.

open.py       a model with its tokenizer, and every way to generate
train.py      a training: its loop, its checkpoints, and how it goes on after a stop
prepare.py    the text, tokenizer, batches and model that a training needs, new or from a checkpoint
workers.py    a training in several processes
"""
