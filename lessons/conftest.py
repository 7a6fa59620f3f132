"""pytest collects the tests of an exercise here, and nothing else: lessons are run, not imported."""

collect_ignore_glob = [
    "*/lesson.py",
    "*/exercise.py",
    "*/solution.py",
    "one_page_*.py",
    "broken_trainings/*.py",
]
