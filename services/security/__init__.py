"""The Security service: who is calling, and may they."""
