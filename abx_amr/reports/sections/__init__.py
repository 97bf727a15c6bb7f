"""One file a section of a page, found by discovery: NAME, PAGES and what renders it."""
