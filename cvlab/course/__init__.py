"""The course about itself: what the lecture says, verdicts, recorded runs, exercises, quiz.

Nothing here computes on images; it sets what the notebooks measured beside what the lecture states,
and checks the reader's answers and machine.
"""
