"""What the commands do beside calling one function, and how they speak."""
