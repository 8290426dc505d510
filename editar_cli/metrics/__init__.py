"""How good a picture is, in figures with published definitions.

One file for each kind of figure. Where a figure needs a network whose weights are not at hand, the
network raises ``MetricMissing`` with what would bring them; a figure is then reported as missing
and never as a number.
"""
