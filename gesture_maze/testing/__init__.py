"""The pytest plugin for testers of games."""
