"""The truth: one database behind one face."""
