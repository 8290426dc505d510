"""Depth, near is bright."""

PROMPT = "Given the depth image, generate an image following the description: "
