"""The model of links, collectives and clusters: what a network costs, and how much of it is measured."""
