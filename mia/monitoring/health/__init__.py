"""What a machine and its links are like before and while a trader runs."""
