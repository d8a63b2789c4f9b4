"""Short messages: the SMPP wire, what subscribers ask by SMS, what we answer."""
