"""What rendered data sets are made of: outlines, textures, painting, and the files that scenes lie in."""
