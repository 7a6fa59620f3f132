"""The generation loop, as a generator of frozen steps."""
