"""Rendering of reports: pages, plots and galleries."""
