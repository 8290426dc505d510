"""From prefixes to output codes."""
