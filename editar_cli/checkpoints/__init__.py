"""Published files -> native bundles, and the bundles themselves."""
