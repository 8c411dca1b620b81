"""Integers: the model, the arithmetic that every target repeats, and the way from float and back."""
