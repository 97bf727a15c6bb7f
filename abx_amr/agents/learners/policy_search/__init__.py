"""Direct policy search: a small network's weights are searched, not learned from gradients."""
