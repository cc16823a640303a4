"""Answers requests over HTTP, in OpenAI's protocol, for a program to mount or a command to run."""
