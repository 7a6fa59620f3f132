"""The doctor at PyTorch loops; only these modules of the doctor import torch."""
