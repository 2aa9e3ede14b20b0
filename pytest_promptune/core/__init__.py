"""Pure values and rules: no pytest, no LangGraph, no asyncio, no files, no clock."""
