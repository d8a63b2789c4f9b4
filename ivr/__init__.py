"""Voice: the AGI dialogue, the call, its prompts."""
