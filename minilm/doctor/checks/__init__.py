"""What the doctor looks for, one function a check."""
