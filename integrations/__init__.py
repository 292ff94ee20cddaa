"""Thin adapters of :func:`secure_resize.resize` to training frameworks; importing this package imports none of them."""
