"""What a user does in one call; the commands call these functions."""
