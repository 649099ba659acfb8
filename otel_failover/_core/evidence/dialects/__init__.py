"""What a request asks, and what an answer says of itself, by the dialect that it is written in.

Chat completions, responses, messages, Gemini, Converse, Cohere, Ollama and some more: known by the path and the body of
a request, whoever sends it. Nothing is imported here: `paths` is with the first request that may be one, the rest with
the first that is. Pure: no OpenTelemetry, no clock, no input or output; nothing here raises, and no text of a request
or an answer is kept.
"""
