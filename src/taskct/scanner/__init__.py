"""How an object is imaged: geometry, projection, noise, reconstruction."""
