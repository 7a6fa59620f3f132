"""Points for exercises: a pytest plugin that counts them. The student's code runs as it stands, unguarded."""
