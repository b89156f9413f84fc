"""Labels made of objects, words or lines: how several people's are compared, fused and doubted."""
