"""Networks in plain PyTorch: no files, no command line, no progress bars."""
