"""What a run is: one training or one evaluation, and the folder that it leaves."""
