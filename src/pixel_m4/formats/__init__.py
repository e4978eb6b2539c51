"""Files ↔ examples, without torch; errors name the line."""
