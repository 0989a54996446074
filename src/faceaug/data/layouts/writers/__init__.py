"""Writers of layouts, one module each."""
