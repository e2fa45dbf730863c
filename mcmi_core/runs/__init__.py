"""What a result is (a run), where it lives (the store), and how it comes about."""
