"""What is put on a GPU host, and taken back."""
