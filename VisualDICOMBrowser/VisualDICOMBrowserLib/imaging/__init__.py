"""From pixel data to pictures: window and level, thumbnails, placeholders, decode children."""
