"""Real parts: Asterisk, SIPp and PostgreSQL, started by the tests that use them."""
