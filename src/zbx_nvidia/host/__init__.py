"""What this project puts on a GPU host."""
