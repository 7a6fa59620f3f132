"""minilm compare: backends, a student's file, and the frameworks' defaults."""
