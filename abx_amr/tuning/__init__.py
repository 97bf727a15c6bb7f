"""What a trial is: its seeds trained and scored, for a study's search."""
