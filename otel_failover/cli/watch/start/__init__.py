"""A folder that stands first in the path of a watched command's Python: `sitecustomize` is what it imports first."""
