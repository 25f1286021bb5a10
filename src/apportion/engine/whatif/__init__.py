"""What-if: a past period replayed under other terms and compared with the books, in which nothing is written.

Owns: changes of terms, replays, their sums. Does not own: how a record is rated (rating), how a period is closed
(close), how a session is charged (sessions).
"""
