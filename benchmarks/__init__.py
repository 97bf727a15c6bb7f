"""Benchmarks: each module has main(arguments) -> a Markdown table; see benchmarks/README.md."""
