"""Who prescribes: fixed rules, algorithms that learn, and how they are built and read back."""
