"""LangGraph and LangChain: how an app is called, and what its model calls cost."""
