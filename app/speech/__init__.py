"""The languages in which people are told things, and how a sentence is said in each."""

from app.speech.saying import ENGLISH, Speech, in_language, message, of_pictures

__all__ = ["ENGLISH", "Speech", "in_language", "message", "of_pictures"]
