"""minilm compare: backends, a student's file, two models, and the frameworks' defaults."""
