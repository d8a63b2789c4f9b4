"""What is on offer: tones, branches, directories."""
