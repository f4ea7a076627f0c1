"""When things happen on whole chips: command processor, engines, memory and link, event by event.

`docs/cycle-model.md` says what is exact and what is not.
"""
