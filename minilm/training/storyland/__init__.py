"""The built-in stories: a grammar, the texts it makes, and their exact entropy."""
