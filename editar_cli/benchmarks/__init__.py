"""Figures that judge a model: one file for each benchmark, and `report` for what they leave."""
