"""From logits to one token, in stages that can be watched."""
