"""Stage 4, `print-labels`: packages that have a label -> one PDF in packing order, pick list, packing slips."""
