"""Projects, releases and files: the rules of the catalog."""
