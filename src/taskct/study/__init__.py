"""Composes the rooms: simulate, train, evaluate, and the graph of stages."""
