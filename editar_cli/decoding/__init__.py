"""Strategies that turn a prefix into output codes; each file is one."""
