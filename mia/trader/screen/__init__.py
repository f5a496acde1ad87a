"""What a run shows of itself: the frame, the bars, the files that screens read."""
