"""The sampling stages, one small frozen dataclass each; read common.py first.

To add a stage:

1. Write a frozen dataclass that inherits from `Stage` (stage.py). Its fields are its arguments, and
   `__post_init__` refuses wrong ones with a MinilmError.
2. `__call__(scores, context)` gives new `Scores`. `scores.ids` (S,) are the survivors in ascending order, and
   `scores.values` (S,) their float32 scores. `scores.keep(mask)` removes tokens, and
   `scores.changed(places, values)` sets new scores.
3. A stage that only removes tokens sets `truncates = True`, says in `reasons` which number failed, and hands
   `keep` its distance to the cut. A stage that changes scores says in `gain` how far they can move.
4. Add its name to the `__all__` of its module, an example to `EXAMPLES` (parsing.py) and its place in each
   dialect that has it (dialects.py). Then `parse`, `--stages`, `minilm stages` and every record know it.

A stage of your own needs only the first two steps to be used in Python: `minilm.stream(..., [MyStage(3)])`.
"""
