"""One module for each group of resources; HTML, JSON and REST of a thing together."""
