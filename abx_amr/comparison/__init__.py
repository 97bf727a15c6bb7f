"""Many runs in one table: read them, find what tells them apart, compare them."""
