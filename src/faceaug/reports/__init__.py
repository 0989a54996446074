"""How reports look: pages, plots and galleries."""
