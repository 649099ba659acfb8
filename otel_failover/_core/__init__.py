"""What was asked, what came back, and whose error it is. Private: nothing here may be imported from outside.

Rooms from the top down, each of which imports only what stands below it:

- `summary`: what became of a request, for the people behind an API.
- `runs`: one pass of a fallback loop, its attempts at candidates, and the SDK calls in them.
- `spans`: the only code that writes error facts, and the processor that checks every span before it is exported.
- `attribution`: a claim about an error, held against evidence: the verdict.
- `evidence`: what the wire said, bound to the attempt that asked.
- `findings`: what a run got wrong. `config`: settings, instruments and logs.
- `domain`: candidates, chains, providers, reasons, and the names on the wire.
- `text`: credentials taken out of text, and one text found in another.
- `context`, `references`, `failsafe`: what all of them stand on.
"""
