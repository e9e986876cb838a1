"""Landmarks of pictures and videos, by the page's hand tracker in a headless browser."""
