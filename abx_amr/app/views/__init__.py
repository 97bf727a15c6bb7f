"""What each page answers: one module for each part of the application."""
