"""Time: what runs when."""
