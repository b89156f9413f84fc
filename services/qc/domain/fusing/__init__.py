"""Live rounds of objects, words and pixels: fused item by item, by what earlier rounds taught about people."""
