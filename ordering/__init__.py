"""What may be done for a subscriber, and its proof."""
