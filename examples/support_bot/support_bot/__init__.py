"""A two-node LangGraph app that sorts a customer's message and drafts a reply."""

from support_bot.graph import INTENTS, build_graph

__all__ = ["INTENTS", "build_graph"]
