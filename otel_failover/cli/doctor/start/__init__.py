"""A folder that stands first in the path of an examined command's Python: `sitecustomize` is what it imports first."""
