"""A command-line toolkit for one TikTok Shop seller: orders, stock, carriers, labels and tracking in one SQLite file."""

__version__ = "0.1.0"
