"""Text to batches to steps: training as a generator of frozen records.

corpus.py       texts and their split into training and validation
batches.py      ids in rows (B, T), a pure function of seed and step
step.py         one step: gradients, clip, update, and its record
fit.py          the loop: yields a TrainStep after every update
checkpoint.py   weights and optimizer on disk, and the newest whole checkpoint
timeline/       the step debugger of a training: go forward, back, anywhere, branch
storyland/      the built-in stories
"""
