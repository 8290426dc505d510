"""Condition maps: what a picture looks like as edges, depth or regions.

Every file is one mode. Maps are HWC uint8 RGB arrays, as the models see them.
"""
