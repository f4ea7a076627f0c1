"""The main job: handwritten digits classified with every matrix product on the tile."""
