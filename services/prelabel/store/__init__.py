"""What prelabel keeps: model files, the sessions loaded from them, and the media that items point at."""
