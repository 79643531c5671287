"""Printers: a queue of CUPS, an IPP printer on the network, or a label printer that takes ZPL. Edge."""
