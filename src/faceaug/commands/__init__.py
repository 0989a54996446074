"""Command-line parts beyond calling one function: options, output, and commands that combine several rooms."""
