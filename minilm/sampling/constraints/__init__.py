"""Stages that allow valid answers only: a choice, a regex, a grammar, a JSON schema."""
